#!/usr/bin/env bash
# The whole reproduction: set up, data, features, notebooks, site. A second run skips what is done.
set -euo pipefail
unset CDPATH # else a relative cd may go elsewhere
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'HELP'
usage: ./run_all.sh [options]
       ./run_all.sh --test [pytest options]

Sets up .venv from requirements.lock, then data -> features -> notebooks -> site. Starts from
nothing but Python 3.11 to 3.13 and the package registry.

  --data NAME|DIR   the dataset: demo (the default), a folder in the official VQA layout, or one
                    that is downloaded and built first: A, B, C, D, E, 100k, v1, v2, daquar
  --weights W       vision weights: imagenet, packaged, random, or a file
                    (default: ImageNet's, in the cache or downloaded, else a package's; for the
                    demo a package's)
  --image-size PX   side of the square the vision network sees (default: the network's own)
  --offline         download nothing: packaged parts stand in for the study's, by name; the demo
                    implies it
  --only GLOB,GLOB  only these notebooks, such as 'Improved*'
  --quick           four notebooks only, the site of them, and a question asked of one
  --jobs N          notebooks at a time (default: 1 with a GPU, else as many as cores, at most 4)
  --epochs N        default: the schedule's own
  --seed N          default: 0
  --test            run the tests instead; what follows goes to pytest
  --help            this text

Executed notebooks lie in runs/notebooks/<dataset>, the site in site/index.html: first of the
GUSE notebooks alone, in the end of all. The Python to use can be named with
PYTHON=python3.12 ./run_all.sh
HELP
}

die() {
    echo "run_all.sh: $*" >&2
    exit 2
}

named="A B C D E 100k v1 v2 daquar"
data=demo weights="" image_size="" offline="" only="" quick="" jobs="" epochs="" seed="" test=""
while (($#)); do
    case "$1" in
        --data | --weights | --image-size | --only | --jobs | --epochs | --seed)
            (($# > 1)) || die "$1 needs a value; see ./run_all.sh --help"
            name=${1#--}
            printf -v "${name//-/_}" '%s' "$2"
            shift 2
            ;;
        --offline) offline=yes; shift ;;
        --quick) quick=yes; shift ;;
        --test) test=yes; shift; break ;;
        -h | --help) usage; exit 0 ;;
        *) die "unknown option $1; see ./run_all.sh --help" ;;
    esac
done
for name in jobs epochs seed image_size; do
    [[ "${!name}" =~ ^[0-9]*$ ]] || die "--${name//_/-} needs a whole number, not '${!name}'"
done
[[ -z "$quick" || -z "$only" ]] || die "--quick chooses the notebooks itself; leave out --only"
# Paths are the caller's, not this script's.
if [[ "$data" != demo ]]; then
    if folder=$(cd "$called_from" && cd "$data" 2>/dev/null && pwd); then
        data=$folder
    elif [[ ! -d "data/$data" && " $named " != *" $data "* ]]; then
        die "--data $data: there is no such folder, and no dataset of that name in data/"
    fi
fi
if [[ ! "$weights" =~ ^(imagenet|packaged|random|)$ ]]; then
    [[ "$weights" == /* ]] || weights=$called_from/$weights
    [[ -f "$weights" ]] || die "--weights $weights: there is no such file; or use imagenet, packaged, random"
fi

# Set up ----------------------------------------------------------------------------------------

python=${PYTHON:-python3}
command -v "$python" >/dev/null || die "no $python here; install Python 3.11 to 3.13"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
    die "$("$python" --version) is not 3.11 to 3.13; name another with PYTHON=python3.12 $0"

venv=$PWD/.venv
stamp="$("$python" -c 'import sys; print(sys.version)') $(cat requirements.lock pyproject.toml | cksum)"
if [[ ! -f $venv/.stamp || "$(cat "$venv/.stamp")" != "$stamp" ]]; then
    echo "== set-up: installing requirements.lock into .venv (some GB, a few minutes)"
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --require-hashes --requirement requirements.lock
    "$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
    echo "$stamp" >"$venv/.stamp"
fi
export PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv
unset PYTHONDONTWRITEBYTECODE # else each of a hundred processes compiles the package anew

if [[ -n "$test" ]]; then
    # One more than cores: many tests wait for what they start.
    workers=$(python -c 'import os; print(1 + (os.cpu_count() or 1))')
    exec python -m pytest -n "$workers" --dist loadfile --no-loadscope-reorder "$@"
fi

# Data, features, notebooks, site ---------------------------------------------------------------

failed=0
step() { # a step that may name failed work and go on
    local status=0
    "$@" || status=$?
    ((status <= 1)) || exit "$status"
    ((status == 0)) || failed=1
}

vision=()
parameters=()
[[ "$data" == demo ]] || parameters+=(-p "DATA=$data")
[[ -z "$weights" ]] || { vision+=(--weights "$weights"); parameters+=(-p "WEIGHTS=$weights"); }
[[ -z "$image_size" ]] || {
    vision+=(--image-size "$image_size")
    parameters+=(-p "IMAGE_SIZE=$image_size")
}
[[ -z "$offline" ]] || { vision+=(--offline); parameters+=(-p "OFFLINE=True"); }
[[ -z "$epochs" ]] || parameters+=(-p "EPOCHS=$epochs")
[[ -z "$seed" ]] || parameters+=(-p "SEED=$seed")

if [[ "$data" == demo || " $named " == *" $data "* ]]; then
    echo "== data"
    step vqa data build "$data" ${offline:+--offline}
fi
if [[ " $named " == *" $data "* && -z "$offline" ]]; then
    vqa data download use
fi
# A dataset of text alone has no features; what cannot be opened is left to the next command.
images=$(python -c 'import sys
from vqa_helpers.data.folder import open_dataset
print(len(open_dataset(sys.argv[1]).images))' "$data" 2>/dev/null || true)
if [[ -z "$only" && "$weights" =~ ^(imagenet|packaged|random|)$ && "$images" != 0 ]]; then
    for encoder in vgg16 resnet50; do
        echo "== features: $encoder"
        step vqa features --data "$data" --encoder "$encoder" "${vision[@]}"
    done
fi
# Many small steps: on a CPU one thread each for several notebooks beats several threads for one.
if [[ -z "$jobs" ]] && ! command -v nvidia-smi >/dev/null; then
    jobs=$(python -c 'import os; print(min(4, os.cpu_count() or 1))')
fi
out=runs/notebooks/$(basename "$data")
show() { # the notebooks that match, and the site of all that are done
    echo "== notebooks: $1"
    step vqa batch --jobs "${jobs:-1}" --out "$out" --only "$1" "${parameters[@]}"
    echo "== site"
    step vqa report --notebooks "$out" --out site
}
if [[ -n "$only" ]]; then
    show "$only"
elif [[ -n "$quick" ]]; then
    show 'GUSE_*,Bag_Of_Words,Image_Only'
    echo "== a question"
    mapfile -t asked < <(python -c 'import sys
from vqa_helpers.data.folder import open_dataset
from vqa_helpers.runs import find_runs
dataset = open_dataset(sys.argv[1])
runs = [run for run in find_runs("runs", dataset.name) if run.name.startswith("GUSE")]
seen = dataset.splits["validation"].query("image_id in @dataset.images").iloc[0]
print(runs[0].folder, dataset.images[seen.image_id], seen.question, sep="\n")' "$data")
    echo "vqa ask ${asked[*]@Q}"
    step vqa ask "${asked[@]}"
else
    show 'GUSE_*' # something to read while the others run
    show '*'
fi
exit "$failed"
