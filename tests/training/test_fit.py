"""Whole runs on made-up images: stopping, best weights, compaction, interruption, and the choice of engine."""

import math
import os
import shutil
import signal
from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch

from src.config.error import ConfigError
from src.models.network import Network
from src.training import memory
from src.training.device import choose_device
from src.training.engines import choose, compilation, torch_engine
from src.training.engines.choose import EngineChoice
from src.training.engines.engine import Means
from src.training.fit import prepare, run
from src.training.interrupt import Interrupt
from src.training.spec import spec_of
from tests import example


class Recorder:
    def __init__(self):
        self.epochs, self.members, self.kept = [], [], []

    def progressed(self, epoch, batch, members):
        self.members.append(members)

    def epoch_ended(self, rows, so_far):
        self.epochs.append(rows)
        self.kept = {number: so_far(number) for number in rows}


def go(configs, interrupted=lambda: False, train=60):
    recorder = Recorder()
    lines = []
    prepared = prepare(configs, example.dataset(train), lines.append)
    results = run(prepared, [recorder], interrupted)
    return results, recorder, prepared, lines


def test_a_run_leaves_one_complete_result_a_member():
    config = example.config(repeats=2, ensemble=2, max_epochs=3, seed=5)
    results, recorder, _, _ = go([config])
    assert [(r.seed, r.repeat, r.vote) for r in results] == [(5, 0, 0), (6, 0, 1), (7, 1, 0), (8, 1, 1)]
    for result in results:
        assert result.status == "FINISHED"
        assert [row["epoch"] for row in result.history] == [1, 2, 3]
        assert set(result.history[0]) == {
            "epoch", "eta", "train/cost", "train/accuracy", "validation/cost", "validation/accuracy",
            "weight_norm/layers.0.weight", "weight_norm/layers.1.weight", "weight_norm/layers.2.weight",
            "images_per_second",
        }  # fmt: skip
        assert result.probabilities.shape == (30, 4)
    assert len(recorder.epochs) == 3


def test_the_networks_learn():
    results, _, _, _ = go([example.config(max_epochs=8, optim={"eta": 0.5})], train=200)
    assert results[0].test_score > 0.9
    assert results[0].history[-1]["train/cost"] < results[0].history[0]["train/cost"]


def test_the_best_weights_are_those_of_the_latest_epoch_with_the_highest_validation_accuracy():
    config = example.config(max_epochs=6, repeats=3, optim={"eta": 0.7})
    results, _, prepared, _ = go([config])
    data = prepared.dataset
    for result in results:
        accuracies = [row["validation/accuracy"] for row in result.history]
        best = max(accuracies)
        assert result.validation_score == best
        assert result.best_epoch == max(number for number, value in enumerate(accuracies, 1) if value == best)
        network = Network(config.shapes())
        network.load_state_dict(result.weights)
        with torch.no_grad():
            answers = network(data.validation.inputs.float() / 255).argmax(1)
            test = network(data.test.inputs.float() / 255).argmax(1)
        assert float((answers == data.validation.targets).double().mean()) == pytest.approx(best)
        assert result.test_score == pytest.approx(float((test == data.test.targets).double().mean()))


def test_the_test_set_is_judged_by_the_weights_of_the_best_epoch_not_the_last_one(monkeypatch):
    prepared = prepare([example.config(max_epochs=3)], example.dataset())
    looks = iter([0.9, 0.5, 0.4])
    judged = prepared.engine.evaluate
    monkeypatch.setattr(
        prepared.engine,
        "evaluate",
        lambda *split: judged(*split)._replace(score=torch.tensor([next(looks)], dtype=torch.float64)),
    )
    (result,) = run(prepared, [])
    assert (result.best_epoch, result.validation_score) == (1, 0.9)
    ((first_epoch,), _, _, _) = go([example.config(max_epochs=1)])
    torch.testing.assert_close(result.probabilities, first_epoch.probabilities, rtol=0, atol=0)
    assert not torch.equal(result.weights["layers.2.weight"], prepared.engine.state(slots=False)["layers.2.weight"][0])


def test_the_rate_of_an_epoch_is_the_schedules_from_its_first_one_on():
    ((result,), _, _, _) = go([example.config(max_epochs=3, optim={"eta": 0.4, "schedule": "inverse", "decay": 1.0})])
    assert [row["eta"] for row in result.history] == [0.4, 0.2, 0.4 / 3]  # as configured, not as float32 rounds it


def test_a_member_has_the_same_history_alone_and_among_others():
    rates = [0.05, 0.3, 0.9]
    data = {"order": "epoch"}
    trials = [
        example.config(data=data, optim={"eta": eta}, model={"dropout": 0.2, "hidden": [8]}, seed=number, max_epochs=4)
        for number, eta in enumerate(rates)
    ]
    together, _, _, _ = go(trials)
    for trial, expected in zip(trials, together, strict=True):
        (alone,), _, _, _ = go([trial])
        for row, other in zip(alone.history, expected.history, strict=True):
            for key in ("train/cost", "validation/cost", "weight_norm/layers.1.weight"):
                assert row[key] == pytest.approx(other[key], rel=1e-3)


def test_a_stopped_member_leaves_the_stack_and_the_others_go_on():
    stop = {"rule": "patience_epochs", "patience_epochs": 2}
    trials = [
        example.config(stop=stop, max_epochs=12, optim={"eta": eta}, seed=3) for eta in (1e-9, 0.5)
    ]  # the first never improves
    results, recorder, prepared, _ = go(trials, train=200)
    assert len(results[0].history) == 3
    assert len(results[1].history) > 3
    assert list(recorder.epochs[3]) == [1]
    assert prepared.engine.state(slots=False)["layers.0.weight"].shape[0] == 1
    (alone,), _, _, _ = go(trials[1:], train=200)
    assert [row["validation/cost"] for row in alone.history] == pytest.approx(
        [row["validation/cost"] for row in results[1].history], rel=1e-3
    )


def test_a_stopped_member_stays_where_dropping_it_costs_more_than_it_saves(monkeypatch):
    stop = {"rule": "patience_epochs", "patience_epochs": 1}
    trials = [example.config(stop=stop, max_epochs=5, optim={"eta": eta}) for eta in (1e-9, 0.3)]
    prepared = prepare(trials, example.dataset())
    prepared.engine.resize_seconds = 1e9
    results = run(prepared, [])
    assert prepared.engine.state(slots=False)["layers.0.weight"].shape[0] == 2
    assert len(results[0].history) == 2  # it computes on, but its result stands


def test_training_ends_when_no_member_is_left():
    config = example.config(stop={"rule": "patience_epochs", "patience_epochs": 1}, max_epochs=50, optim={"eta": 1e-9})
    results, recorder, _, _ = go([config])
    assert len(results[0].history) == len(recorder.epochs) == 2


def test_the_tutorials_patience_looks_within_epochs():
    stop = {"rule": "patience_batches", "patience_batches": 6}
    config = example.config(stop=stop, max_epochs=50, optim={"eta": 1e-9})
    results, recorder, prepared, _ = go([config])
    assert [chunk.done for chunk in prepared.chunks if chunk.check] == [[15], [18], [21], [24]]
    # The first look, after mini-batch 2, improves and leaves patience at max(6, 2 · 2). Mini-batch 6 comes before the
    # look after mini-batch 8, which is void; the epoch has its row all the same, for the best weights are from it.
    assert (results[0].status, results[0].best_epoch) == ("FINISHED", 1)
    assert [row["epoch"] for row in results[0].history] == [1]
    assert len(recorder.epochs) == 1


def test_a_look_that_comes_after_the_patience_is_void():
    stop = {"rule": "patience_batches", "patience_batches": 24, "patience_increase": 1.0}
    config = example.config(stop=stop, max_epochs=50, optim={"eta": 1e-9})  # 12 mini-batches, a look an epoch
    results, _, _, _ = go([config])
    # Looks after mini-batches 11, 23 and 35; mini-batch 24 ends it: the third look is void, as in the tutorial.
    assert [row["epoch"] for row in results[0].history] == [1, 2]
    assert results[0].best_epoch == 1  # the second look is as good as the first, not better


def test_the_last_weights_are_kept_where_that_is_asked_for(monkeypatch):
    prepared = prepare([example.config(max_epochs=4, stop={"keep": "last"})], example.dataset())
    costs, scores = iter([0.1, 0.1, 0.1, math.nan]), iter([0.9, 0.5, 0.4, 0.8])
    monkeypatch.setattr(
        prepared.engine,
        "evaluate",
        lambda *_: Means(*(torch.tensor([next(values)], dtype=torch.float64) for values in (costs, scores))),
    )
    (result,) = run(prepared, [])
    assert (result.status, result.best_epoch, result.validation_score) == ("FINISHED", 3, 0.4)  # that had a finite cost
    ((three,), _, _, _) = go([example.config(max_epochs=3, stop={"keep": "last"})])
    torch.testing.assert_close(result.probabilities, three.probabilities, rtol=0, atol=0)


def test_a_diverged_member_ends_as_failed_and_the_others_do_not_notice():
    trials = [example.config(optim={"eta": eta}, max_epochs=3) for eta in (1e38, 0.3)]
    results, _, _, _ = go(trials)
    assert [result.status for result in results] == ["FAILED", "FINISHED"]
    assert results[0].test_score is None
    assert len(results[0].history) == 1
    assert math.isfinite(results[1].history[-1]["validation/cost"])


def test_an_interrupted_run_keeps_what_is_there_as_killed():
    asked = []

    def interrupted():
        asked.append(1)
        return len(asked) > 4

    config = example.config(max_epochs=50, repeats=2, trainer={"chunk": 4})  # three chunks an epoch
    results, _, _, _ = go([config], interrupted)
    assert [result.status for result in results] == ["KILLED", "KILLED"]
    assert len(results[0].history) == 1
    assert results[0].test_score is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_there_too(number):
    class Sender:
        def progressed(self, epoch, batch, members):
            pass

        def epoch_ended(self, rows, so_far):
            if rows[0]["epoch"] == 2:
                os.kill(os.getpid(), number)

    prepared = prepare([example.config(max_epochs=5)], example.dataset(), lambda line: None)
    with Interrupt(lambda line: None) as interrupt:
        (result,) = run(prepared, [Sender()], interrupt)
    assert result.status == "KILLED"
    assert len(result.history) == 2
    assert result.test_score is not None


def test_a_run_interrupted_before_its_first_epoch_has_no_accuracy_and_does_not_fail():
    results, _, _, _ = go([example.config(trainer={"chunk": 2}, max_epochs=3)], lambda: True)
    assert results[0].status == "KILLED"
    assert (results[0].best_epoch, results[0].test_score, results[0].history) == (None, None, [])


def test_results_so_far_can_be_kept_after_every_epoch():
    _, recorder, _, _ = go([example.config(max_epochs=3)])
    assert len(recorder.kept[0].history) == 3
    assert recorder.kept[0].test_score is None
    assert set(recorder.kept[0].weights) == {f"layers.{n}.{kind}" for n in range(3) for kind in ("weight", "bias")}


def test_trials_that_differ_in_structure_are_refused_together():
    with pytest.raises(ConfigError, match="cannot train together"):
        prepare([example.config(), example.config(model={"hidden": [9]})], example.dataset())


def test_a_mini_batch_larger_than_the_data_is_refused():
    with pytest.raises(ConfigError, match="batch_size = 61: more than the 60 training images"):
        prepare([example.config(batch_size=61)], example.dataset())
    pretrained = example.config(model={"maps": []}, pretrain={"task": "contrast", "batch_size": 61})
    with pytest.raises(ConfigError, match=r"pretrain\.batch_size = 61: more than the 60 training images"):
        prepare([pretrained], example.dataset())


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"task": {"name": "reconstruct"}}, "task=reconstruct"),
        ({"task": {"name": "contrast"}}, "task=contrast"),
        ({"pretrain": {"task": "contrast"}}, "pretrain=contrast"),
    ],
)
def test_numbers_that_are_no_probabilities_are_refused_where_they_are_taken_for_such(sections, words):
    config, data = example.config(model={"maps": []}, **sections), example.dataset()
    validation = data.validation.inputs.float() / 255
    prepare([config], replace(data, validation=replace(data.validation, inputs=validation)))
    validation[3, 0, 1, 2] = 1.5
    with pytest.raises(ConfigError, match=rf"values from 0 to 1\.5, and {words} takes each input for a probability"):
        prepare([config], replace(data, validation=replace(data.validation, inputs=validation)))


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", "GPU {}".format)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"trainer\.accelerator = 'gpu'.*accepted here: auto, cpu"):
        choose_device(example.config(trainer={"accelerator": "gpu"}).trainer)
    with pytest.raises(ConfigError, match=r"trainer\.precision = 'bf16': needs CUDA"):
        choose_device(example.config(trainer={"precision": "bf16"}).trainer)


@pytest.mark.parametrize(
    ("devices", "found"),
    [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1")],
)
def test_a_gpu_is_found_by_its_number(devices, found, two_gpus):
    config = example.config(trainer={"devices": devices, "accelerator": "auto"})
    assert str(choose_device(config.trainer)) == found


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(two_gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    trainer = example.config(trainer={"devices": "cuda:2", "accelerator": "cuda"}).trainer
    words = r"'cuda:2': .*CUDA_VISIBLE_DEVICES = '4,6'.*accepted here: auto, cuda:0 \(GPU 0\), cuda:1 \(GPU 1\)"
    with pytest.raises(ConfigError, match=words):
        choose_device(trainer)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"'cuda:2': .*VISIBLE_DEVICES = ''.*: auto, with trainer"):
        choose_device(trainer)


def test_what_is_asked_without_a_device_is_asked_of_the_runs_own_gpu(two_gpus, monkeypatch):
    """The memory is looked up first, so a stack that fits no GPU tells which one was asked."""
    asked = []
    monkeypatch.setattr(torch.cuda, "set_device", asked.append)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
    with pytest.raises(memory.TooLargeError, match="and cuda:1 has 0; accepted"):
        prepare([example.config(trainer={"devices": "cuda:1", "accelerator": "auto"})], example.dataset())
    assert asked == [torch.device("cuda", 1)]
    monkeypatch.setattr(torch.cuda, "set_device", Mock(side_effect=RuntimeError("busy\nand more")))
    with pytest.raises(ConfigError, match=r"cuda:1 is there but cannot be used \(busy\); accepted: another of the 2"):
        prepare([example.config(trainer={"devices": "cuda:1", "accelerator": "auto"})], example.dataset())


def test_without_a_compiler_training_goes_on_with_one_line(monkeypatch):
    def no_compiler(function, **_):
        def step(*arguments):
            raise RuntimeError("no working C++ compiler\nand more")

        return step

    monkeypatch.setattr(torch, "compile", no_compiler)
    results, _, prepared, lines = go([example.config(trainer={"compile": True})])
    assert results[0].status == "FINISHED"
    assert lines == ["torch.compile does not work here (no working C++ compiler); going on without it."]
    assert "eager" in prepared.engine.description


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU, and none is here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own compiler
def test_a_compiled_step_computes_what_the_plain_one_does(tmp_path, monkeypatch):
    from torch._inductor import config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    # Into an empty cache the compiler would first put ten programs: which vectors work here.
    monkeypatch.setattr(inductor.cpp, "vec_isa_ok", True)
    monkeypatch.setattr(inductor.cpp, "simdlen", 256)
    model = {"maps": [], "hidden": [6], "dropout": 0.3, "norm": "batch"}
    plain, _, _, _ = go([example.config(repeats=2, model=model)])
    compiled, _, prepared, lines = go([example.config(repeats=2, model=model, trainer={"compile": True})])
    assert (prepared.engine.description, lines) == ("torch, compiled, 1 thread", [])
    for one, other in zip(plain, compiled, strict=True):
        assert one.history[-1]["train/cost"] == pytest.approx(other.history[-1]["train/cost"], rel=1e-4)
        for name, value in one.weights.items():
            torch.testing.assert_close(other.weights[name], value, rtol=1e-3, atol=1e-5)


def test_more_shapes_than_dynamo_allows_for_one_function_are_all_compiled(monkeypatch):
    assert compilation.COMPILATIONS > 8  # Dynamo's own limit; here a lower one, so that fewer shapes pass it
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 2)
    graphs, compile_ = [], torch.compile

    def counted(graph, _):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda step, **options: compile_(step, backend=counted, **options))
    engines = []
    for repeats in range(1, 5):
        model = {"maps": [], "hidden": []}
        _, _, prepared, lines = go(
            [example.config(repeats=repeats, model=model, trainer={"compile": True}, max_epochs=1)]
        )
        assert lines == []
        engines.append(prepared.engine)
    assert all(engine.compiled for engine in engines)
    assert len(graphs) >= 4


@pytest.mark.parametrize("call", ["train", "evaluate"])
def test_a_device_that_runs_out_of_memory_is_named_with_what_would_help(call, monkeypatch):
    def lacking(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB.\nand more")

    prepared = prepare([example.config(repeats=2)], example.dataset())
    monkeypatch.setattr(torch_engine.TorchEngine, call, lacking)
    words = r"model: 2 members .* do not fit into the memory of cpu \(CUDA out of memory.*\); accepted: smaller layers"
    for attempt in (lambda: prepare([example.config(repeats=2)], example.dataset()), lambda: run(prepared, [])):
        with pytest.raises(memory.TooLargeError, match=words):
            attempt()


def test_a_gpu_evaluates_more_images_at_once_where_few_members_share_them():
    engine = prepare([example.config(repeats=2)], example.dataset()).engine
    assert engine._evaluation_batch == torch_engine.EVALUATION_BATCH
    engine.device = torch.device("cuda")
    assert engine._evaluation_batch == torch_engine.EVALUATION_IMAGES // 2


def test_an_error_of_the_plain_step_is_not_mistaken_for_a_missing_compiler():
    prepared = prepare([example.config()], example.dataset())
    prepared.engine._plain_step = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run(prepared, [])


def test_compilation_is_chosen_where_the_steps_repay_it():
    assert compilation.compilation_pays(0.01, 100_000)
    assert not compilation.compilation_pays(0.01, 1_000)


def test_the_fastest_number_of_threads_is_taken_and_set():
    cost = {1: 3.0, 2: 1.0, 4: 2.0}
    assert compilation.fastest_threads(lambda: cost[torch.get_num_threads()], 4) == 2
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("threads", "measured"), [(None, 1), (1, 0)])
def test_threads_are_measured_when_none_are_given(threads, measured, monkeypatch):
    calls = []
    monkeypatch.setattr(choose, "fastest_threads", lambda seconds, cores: calls.append(seconds() > 0))
    prepare([example.config(trainer={"threads": threads})], example.dataset())
    assert calls == [True] * measured


def test_more_threads_than_cores_are_refused():
    with pytest.raises(ConfigError, match=r"trainer\.threads = 20000: this process may use"):
        prepare([example.config(trainer={"threads": 20000})], example.dataset())


def test_a_stack_that_cannot_fit_the_memory_is_refused():
    with pytest.raises(ConfigError, match=r"members of .* parameters need .* GiB, and cpu has .*; accepted: smaller"):
        prepare([example.config(model={"hidden": [10**10]})], example.dataset())


def test_running_means_and_snapshots_are_part_of_the_memory(monkeypatch):
    def needed(**sections):
        return prepare([example.config(repeats=2, **sections)], example.dataset(), lambda line: None)

    plain = needed()
    copy = 4 * plain.parameters * 2
    assert needed(average={"rule": "ema"}).memory == plain.memory + copy
    assert needed(max_epochs=3, snapshots=3).memory == plain.memory + 3 * copy
    monkeypatch.setattr(memory, "_room", lambda device: 3 * copy)
    needed()
    with pytest.raises(memory.TooLargeError, match="2 members"):
        needed(average={"rule": "swa"})


def test_a_compiled_step_is_the_torch_engines():
    config = example.config(trainer={"engine": "auto", "compile": True})
    assert EngineChoice(config, spec_of(config, 1), torch.device("cpu"))._cpu_refusal() == "trainer.compile=true"


def test_the_cpu_engine_asks_for_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(example.config(trainer={"engine": "cpu"}).trainer).type == "cpu"
    assert choose_device(example.config(trainer={"engine": "auto", "accelerator": "auto"}).trainer).type == "cuda"


@pytest.mark.parametrize("engine", ["auto", "cpu"])
def test_the_cpu_engine_serves_where_it_can(engine):
    results, _, prepared, lines = go([example.config(trainer={"engine": engine, "threads": 1}, repeats=3)])
    assert prepared.engine.description == "cpu, 1 thread"
    assert lines == []
    plain, _, _, _ = go([example.config(repeats=3)])
    for one, other in zip(results, plain, strict=True):
        assert one.history[-1]["validation/cost"] == pytest.approx(other.history[-1]["validation/cost"], rel=1e-3)


@pytest.mark.parametrize("task", ["reconstruct", "contrast"])
def test_the_cpu_engine_serves_tied_weights(task):
    fields = {"task": {"name": task}, "model": {"maps": [], "hidden": [6]}, "trainer": {"engine": "cpu", "threads": 1}}
    (result,), _, prepared, lines = go([example.config(**fields)])
    assert (prepared.engine.description, lines) == ("cpu, 1 thread", [])
    assert result.history[-1]["validation/cost"] < result.history[0]["validation/cost"]


def test_where_the_cpu_engine_cannot_serve_torch_does_and_says_so(monkeypatch):
    monkeypatch.setattr("src.training.engines.cpu.engine.unsupported", lambda layers: "a layer from another world")
    _, _, prepared, lines = go([example.config(trainer={"engine": "cpu"})])
    assert "torch" in prepared.engine.description
    assert lines == ["trainer.engine=cpu cannot serve this run (a layer from another world); the torch engine does."]


@pytest.mark.parametrize("broken", ["CpuEngine.__init__", "engine.unsupported"])
def test_kernels_that_cannot_be_compiled_leave_the_run_to_torch_and_say_so(broken, monkeypatch):
    def fails(*arguments):
        raise ImportError("no compiler\nin a long story")

    monkeypatch.setattr(f"src.training.engines.cpu.{broken}", fails)
    monkeypatch.setenv("NUMBA_OPT", "0")
    _, _, prepared, lines = go([example.config(trainer={"engine": "auto"})])
    assert "torch" in prepared.engine.description
    (line,) = lines
    assert "(ImportError: no compiler; the environment sets NUMBA_OPT=0); the torch engine trains" in line
    with pytest.raises(ConfigError, match=r"trainer\.engine = 'cpu': .*no compiler.*; accepted: auto or torch"):
        prepare([example.config(trainer={"engine": "cpu"})], example.dataset())


def test_what_the_environment_says_to_lightning_changes_no_run(monkeypatch):
    expected, _, _, _ = go([example.config()])
    cluster = {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "x", "LOCAL_RANK": "1", "NODE_RANK": "b", "LSB_JOBID": "1"}
    arguments = {"LIMIT_TRAIN_BATCHES": "0", "MAX_STEPS": "1", "LOGGER": "True", "STRATEGY": "ddp"}
    for name, value in {**cluster, **{f"PL_TRAINER_{name}": value for name, value in arguments.items()}}.items():
        monkeypatch.setenv(name, value)
    results, _, _, _ = go([example.config()])
    assert results[0].history[-1]["train/cost"] == expected[0].history[-1]["train/cost"]
    assert len(results[0].history) == len(expected[0].history)
