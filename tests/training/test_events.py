"""TensorBoard events: written, and of a resumed run only the ones that count."""

import sys

from vqa_helpers.training.events import FOLDER, open_writer


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / FOLDER))
    events.Reload()
    return [(event.step, round(event.value, 3)) for event in events.Scalars("train/loss")]


def write(folder, first_epoch, losses):
    writer = open_writer(folder, first_epoch)
    for step, loss in enumerate(losses, start=first_epoch):
        writer.add_scalar("train/loss", loss, step)
    writer.close()


def test_events_are_written_without_tensorflow(tmp_path):
    before = "tensorflow" in sys.modules
    write(tmp_path, 1, [0.5, 0.25])
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25)]
    assert ("tensorflow" in sys.modules) == before


def test_a_resumed_run_discards_the_epochs_it_trains_again(tmp_path):
    write(tmp_path, 1, [0.5, 0.25, 0.125])
    write(tmp_path, 3, [0.1, 0.05])
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25), (3, 0.1), (4, 0.05)]
