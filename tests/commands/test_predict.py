"""What src.predict answers, what it makes of pictures, and what it refuses."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from src.commands import predict
from src.config.data import DataConfig
from src.data import folder
from src.data.columns import UNKNOWN, Column
from src.models.network import Network
from src.runs import canvas, image_file
from src.runs.image_file import read_image
from tests import example
from tests.trained_runs import run_in, table, table_run, weights_of

MNIST = DataConfig(name="mnist")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(canvas, "DPI", 60)


def picture(values: Any, name: str = "a.png", **how: Any) -> Path:
    Image.fromarray(np.asarray(values)).save(name, **how)
    return Path(name)


def rows_in(path: str = "predictions.csv") -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message of a command that must fail: on stderr alone, exit 2, one line."""
    assert predict.main([*map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removeprefix("Nothing was predicted: ")


def digit() -> np.ndarray:
    """A bright stroke off the middle, 28 × 28, on black."""
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 12:16] = 255
    return image


def test_a_test_image_gets_the_networks_own_answer_from_a_picture_and_from_an_array(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scaling = {"mean": [0.3], "sd": [0.2]}
    run = run_in(tmp_path / "run", model={"dropout": 0.5}, result={"scaling": scaling})
    images = example.dataset().test.inputs
    network = Network((config := example.config()).shapes())
    network.load_state_dict(weights_of(config.shown(), 0))
    with torch.no_grad():
        own = network((images / 255 - 0.3) / 0.2, torch.tensor([0.5, 0.5])).softmax(-1)
    np.savez("x.npz", x=images.numpy(), y=np.zeros(30))
    assert predict.main([f"run={run}", "input=x.npz"]) == 0
    rows = rows_in()
    given = torch.tensor([[float(row[f"p{index}"]) for index in range(example.CLASSES)] for row in rows])
    torch.testing.assert_close(given, own)
    assert [int(row["prediction"]) for row in rows] == own.argmax(1).tolist()
    assert "x.npz[0]" in capsys.readouterr().out
    assert not Path("predictions.png").exists()
    for number in range(2):
        picture(images[number, 0].numpy(), f"{number}.png")
    assert predict.main([f"run={run}", "input=?.png", "output=b.csv"]) == 0
    pictures = rows_in("b.csv")
    assert [row["prediction"] for row in pictures] == [row["prediction"] for row in rows[:2]]
    for one, other in zip(pictures, rows, strict=False):  # equal but for rounding, as more are computed at once
        assert float(one["probability"]) == pytest.approx(float(other["probability"]), rel=1e-5)
    assert Path("b.png").stat().st_size > 1000


def test_several_networks_answer_with_the_mean_of_their_probabilities(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", scores=(0.5, 0.9, 0.7), ensemble=3)
    np.save("x.npy", example.dataset().test.inputs.numpy())
    given = {}
    for top in (None, 1, 2):
        assert predict.main([f"run={run}", "input=x.npy", *([f"top={top}"] if top else [])]) == 0
        given[top] = np.array([[float(row[f"p{index}"]) for index in range(4)] for row in rows_in()])
    network, shares = Network((config := example.config()).shapes()), []
    for seed in (1, 2, 0):  # from the best
        network.load_state_dict(weights_of(config.shown(), seed))
        with torch.no_grad():
            shares.append(network(example.dataset().test.inputs / 255).softmax(-1).numpy())
    np.testing.assert_allclose(given[1], shares[0], rtol=1e-5)
    np.testing.assert_allclose(given[2], np.mean(shares[:2], axis=0), rtol=1e-5)
    np.testing.assert_allclose(given[None], np.mean(shares, axis=0), rtol=1e-5)


def test_rows_get_numbers_in_the_targets_units(tmp_path: Path) -> None:
    data = {"channels": 5, "height": 1, "width": 1, "target_count": 2}
    result = {"target_scaling": {"mean": [2000.0, 10.0], "sd": [50.0, 1.0]}}
    run = run_in(
        tmp_path / "run", data=data, model={"maps": [], "hidden": [6]}, task={"name": "regress"}, result=result
    )
    np.save("x.npy", np.random.default_rng(0).normal(size=(3, 5)))
    assert predict.main([f"run={run}", "input=x.npy"]) == 0
    rows = rows_in()
    assert list(rows[0]) == ["input", "y0", "y1"]
    assert all(1500 < float(row["y0"]) < 2500 and 0 < float(row["y1"]) < 20 for row in rows)


def test_rows_of_a_table_get_classes_by_their_names_whatever_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = f"run={table_run(tmp_path / 'run', folds=2)}"
    frame = table(6, seed=1)
    frame.loc[0, ["age", "colour"]] = None
    frame[["doors", "colour", "time", "age", "level"]].to_csv("x.csv", index=False)  # another order, with a target
    frame[["age", "time", "colour", "doors"]].to_parquet("x.parquet")
    assert predict.main([run, "input=x.csv", "output=a.csv"]) == 0
    assert "the mean of 2 networks" in capsys.readouterr().out
    assert predict.main([run, "input=x.parquet", "output=b.csv"]) == 0
    capsys.readouterr()
    rows = rows_in("a.csv")
    assert list(rows[0]) == ["input", "prediction", "probability", "p_high", "p_low", "p_middle"]
    assert [{**one, "input": ""} for one in rows] == [{**one, "input": ""} for one in rows_in("b.csv")]
    for row in rows:
        assert float(row[f"p_{row['prediction']}"]) == max(float(row[f"p_{one}"]) for one in ("high", "low", "middle"))
    assert rows[0]["input"] == "x.csv[0]"
    frame.drop(columns=["colour", "time"]).to_csv("lacks.csv")
    said = refused(capsys, run, "input=lacks.csv")
    assert "lacks.csv: has no column time, colour, on which the networks were trained; it has age, doors, le" in said
    frame.assign(age="old").to_csv("texts.csv", index=False)
    assert "The column age holds what is no number" in refused(capsys, run, "input=texts.csv")
    np.save("x.npy", np.zeros((3, 4)))
    assert "x.npy: the networks were trained on a table; accepted: a table (.csv, .parquet)" in refused(
        capsys, run, "input=x.npy"
    )
    assert "x.csv: is an input, which it would overwrite" in refused(capsys, run, "input=x.csv", "output=x.csv")
    images = f"run={run_in(tmp_path / 'images')}"
    assert "the networks were not trained on a table" in refused(capsys, images, "input=x.csv")


def test_a_category_of_whole_numbers_is_known_where_a_value_beside_it_is_missing() -> None:
    column = Column("doors", ("2", "five"))
    codes = column.coded(pd.Series([2.0, np.nan, 3.0]))
    np.testing.assert_array_equal(codes, [0, np.nan, UNKNOWN])
    np.testing.assert_array_equal(column.coded(pd.Series([2, 3])), [0, UNKNOWN])


def test_a_picture_is_seen_as_a_folder_of_images_was(tmp_path: Path) -> None:
    (tmp_path / "f" / "a").mkdir(parents=True)
    (tmp_path / "f" / "b").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (20, 40, 3), dtype=np.uint8)
    for name in ("a", "b"):
        picture(noise, f"f/{name}/x.png")
    data = DataConfig(name="folder", dir="f", channels=1, height=8, width=8)
    seen = read_image(Path("f/a/x.png"), data)
    np.testing.assert_array_equal(seen.image, folder.read(data, "classes").inputs[0])
    assert seen.done == "40 × 20 pixels to 8 × 8"


def test_a_digit_on_paper_is_seen_as_mnist_has_it() -> None:
    assert read_image(picture(digit()), MNIST).image.tolist() == digit()[None].tolist()  # an MNIST image stays
    photo = np.full((300, 200, 3), 240, np.uint8)
    photo[20:220, 100:140] = 30  # a stroke five times as high as wide, off the middle
    seen = read_image(picture(photo), MNIST)
    assert seen.done == "grey, inverted: its border is light, 40 × 200 pixels to 4 × 20, centred by mass"
    expected = np.zeros((28, 28), np.uint8)
    expected[4:24, 12:16] = 255
    np.testing.assert_allclose(seen.image[0], expected, atol=3)
    dark = read_image(picture(255 - photo), MNIST)
    assert np.array_equal(dark.image, seen.image)
    assert "inverted" not in dark.done
    assert read_image(picture(photo), MNIST, invert=False).done == "grey, nothing in it"
    blank = read_image(picture(np.full((50, 50), 200, np.uint8)), MNIST)
    assert (blank.done, blank.image.max()) == ("inverted: its border is light, nothing in it", 0)


def test_odd_pictures_are_read_for_what_they_show() -> None:
    deep = read_image(picture(digit().astype(np.uint16) * 257), MNIST)
    assert (deep.done, deep.image.tolist()) == ("16 bits to 8", digit()[None].tolist())
    layered = np.zeros((28, 28, 4), np.uint8)
    layered[..., 3] = digit()  # black on nothing
    black = read_image(picture(layered), MNIST)
    assert black.done == "what is transparent white, grey, inverted: its border is light"
    assert black.image.tolist() == digit()[None].tolist()
    layered[..., :3] = 255  # white on nothing
    assert read_image(picture(layered), MNIST).image.tolist() == digit()[None].tolist()
    palette = Image.fromarray(layered).convert("P")
    palette.save("p.png", transparency=0)
    assert read_image(Path("p.png"), MNIST).image.shape == (1, 28, 28)
    colours = DataConfig(name="cifar10", channels=3, height=32, width=32)
    wide = read_image(picture(np.zeros((40, 80, 3), np.uint8)), colours)
    assert (wide.image.shape, wide.done) == ((3, 32, 32), "its edges cut, 80 × 40 pixels to 32 × 32")


def test_what_is_no_input_is_refused_in_one_paragraph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = f"run={run_in(tmp_path / 'run')}"
    Path("text.png").write_text("no picture", encoding="utf-8")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    half = picture(noise, "half.jpg").read_bytes()
    Path("half.jpg").write_bytes(half[: len(half) // 2])
    wrong = refused(capsys, run, "input=text.png", "half.jpg")
    assert "text.png: cannot be read as a picture (cannot identify" in wrong
    assert "half.jpg: cannot be read as a picture (image file is truncated" in wrong
    Path("empty").mkdir()
    assert "a folder without pictures, arrays or tables" in refused(capsys, run, "input=empty")
    assert "no such file or folder, and no pattern" in refused(capsys, run, "input=none*.png", "nowhere.png")
    np.save("pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "without pickles" in refused(capsys, run, "input=pickled.npy")
    np.save("size.npy", np.zeros((3, 11, 12)))
    assert "has the shape (3, 11, 12); accepted: (N, 1, 12, 12) or (N, 12, 12)" in refused(
        capsys, run, "input=size.npy"
    )
    np.save("nan.npy", np.full((2, 12, 12), np.nan))
    assert "288 of its numbers are not finite" in refused(capsys, run, "input=nan.npy")
    Path("broken.npz").write_bytes(b"PK\x03\x04half")
    assert "cannot be read as an array" in refused(capsys, run, "input=broken.npz")
    monkeypatch.setattr(image_file, "MOST_PIXELS", 1000)
    assert "has 64 × 64 pixels; accepted: at most 1,000" in refused(capsys, run, f"input={picture(noise, 'large.png')}")


def test_networks_that_are_not_there_are_refused_in_one_paragraph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_in(tmp_path / "mlruns" / "hydra" / "2026-11-01" / "10-00-00-shallow")
    np.save("x.npy", np.zeros((1, 12, 12)))
    assert "neither is given; accepted: one of them" in refused(capsys, "input=x.npy")
    assert f"no such folder; there is {run.relative_to(tmp_path)}." in refused(
        capsys, "run=mlruns/hydra/2026-11-01/10-00-00-shalow", "input=x.npy"
    )
    assert "top=2: the run has left 1 networks; accepted: 1 to 1" in refused(
        capsys, f"run={run}", "top=2", "input=x.npy"
    )
    assert "input= is missing" in refused(capsys, f"run={run}")
    (run / "member-00" / "weights.pt").write_bytes(b"half")
    assert "cannot be read as the weights of a network" in refused(capsys, f"run={run}", "input=x.npy")
    (run / "member-00" / "weights.pt").unlink()
    assert "none of its networks has come to the end of an epoch" in refused(capsys, f"run={run}", "input=x.npy")
