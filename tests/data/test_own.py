"""The user's own data: what is damaged is answered in one paragraph, what is only odd is read."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from src.config.check import parse
from src.config.data import DataConfig
from src.config.error import ConfigError
from src.data import own
from src.data.error import DataError
from src.data.preprocessing import Preprocessing, fit
from tests import example

X, Y = np.arange(60.0).reshape(20, 3), np.arange(20) % 2
TABLE = "a,b,c,t\n" + "".join(f"{i},{'xy'[i % 3 > 0]},{i * i},{'no' if i % 2 else 'yes'}\n" for i in range(20))


def table(text, target="t", kind="classes", ending="csv", **keys):
    def made(folder):
        path = folder / f"mine.{ending}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return {"name": "table", "path": str(path), "target": target, **keys}, kind

    return made


def arrays(kind="classes", keys=None, **named):
    def made(folder):
        np.savez(folder / "mine.npz", **named)
        return {"name": "arrays", "path": str(folder / "mine.npz"), **(keys or {})}, kind

    return made


def raw_file(name, content, source="arrays"):
    def made(folder):
        (folder / name).write_bytes(content)
        return {"name": source, "path": str(folder / name), "target": "t" if source == "table" else None}, "classes"

    return made


def images(spoil=None, **keys):
    def made(folder):
        for label in ("cat", "dog"):
            (folder / label).mkdir()
            for i in range(6):
                Image.new("L", (5, 4), 30 * i).save(folder / label / f"{i}.png")
        if spoil:
            spoil(folder)
        return {"name": "folder", "dir": str(folder), **keys}, "classes"

    return made


def truncated(folder):
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3)).astype("uint8")
    Image.fromarray(noise).save(folder / "cat" / "x.jpg")
    content = (folder / "cat" / "x.jpg").read_bytes()
    (folder / "cat" / "x.jpg").write_bytes(content[: len(content) // 2])


def prepared(data, kind):
    sizes = DataConfig.model_validate({"validation": 0.2, "test": 0.2, **data})
    return own.prepared(sizes, kind)


BAD = {
    "no file": (lambda f: ({"name": "table", "path": str(f / "no.csv"), "target": "t"}, "classes"), "no such file"),
    "a folder": (lambda f: ({"name": "table", "path": str(f), "target": "t"}, "classes"), "is a folder"),
    "no path": (lambda f: ({"name": "arrays"}, "classes"), "data.path = null"),
    "unknown ending": (table(TABLE, ending="xls"), "accepted: .csv or .parquet"),
    "empty": (table(""), "is empty"),
    "header only": (table("a,t\n"), "no rows"),
    "doubled header": (table("a,a,t\n1,2,x\n3,4,y\n"), "column a twice"),
    "no target named": (table(TABLE, target=None), "must be named"),
    "target not there": (table(TABLE, target="price"), "no such column; accepted: a, b, c, t"),
    "dropped not there": (table(TABLE, drop=["z"]), "data.drop = 'z'"),
    "nothing left": (table(TABLE, drop=["a", "b", "c"]), "no column is left"),
    "more fields than names": (table("a,t\n1,x,3\n2,y,4\n"), "cannot be read"),
    "text among numbers": (table(TABLE.replace("\n4,", "\nfour,")), "'four' in row 5"),
    "infinite": (table(TABLE.replace("\n4,", "\ninf,")), "inf in row 5"),
    "target missing": (table(TABLE + "3,x,3,\n"), "target of example 20 is missing"),
    "one class": (table(TABLE.replace("yes", "no")), "one class only, 'no'"),
    "fractions as classes": (table(TABLE.replace(",yes", ",0.5").replace(",no", ",1.5")), "task=regress"),
    "texts as numbers": (table(TABLE, kind="numbers"), "no number"),
    "no labels": (table(TABLE, target=["a", "c"], kind="labels"), "as a label"),
    "binary": (table(b"\x00\x01\x02"), "zero bytes"),
    "latin-1": (table("a,t\n\xe9,x\n".encode("latin-1")), "UTF-8"),
    "no parquet": (table("abc", ending="parquet"), "cannot be read"),
    "group missing": (table(TABLE, split="group"), "data.group=COLUMN"),
    "one group": (table(TABLE.replace("x", "y"), group="b"), "groups are left"),
    "no dates": (table(TABLE, time="b"), "data.time = 'b'"),
    "stratified numbers": (table(TABLE, target="a", kind="numbers", split="stratified"), "no classes"),
    "all held out": (table(TABLE, validation=20), "some must be left"),
    "weight not there": (table(TABLE, weight="w"), "data.weight = 'w'"),
    "weight below 0": (table(TABLE.replace("\n4,", "\n-4,"), weight="a"), "holds -4 in example 4"),
    "weight missing": (table(TABLE.replace("\n4,", "\n,"), weight="a"), "data.weight = 'a': row 5 has no value"),
    "weight of text": (table(TABLE, weight="b"), "is of the type"),
    "weights 0": (table(TABLE.replace(",x,", ",0,").replace(",y,", ",0,"), weight="b"), "all have the weight 0"),
    "weights too few": (arrays(x=X, y=Y, weight=X[:5, 0]), "there are 20 examples"),
    "weight nan": (arrays(x=X, y=Y, weight=np.where(X == 3, np.nan, X)[:, 0]), "missing (NaN) in example 1"),
    "weights of a part": (
        arrays(x_train=X, y_train=Y, x_test=X, y_test=Y, weight_train=X[:, 0]),
        "an x without",
    ),
    "weights of nothing": (arrays(x_train=X, y_train=Y, weight=X[:, 0]), "weights without an x"),
    "too many to train": (table(TABLE, train=100), "data.train = 100"),
    "pickle": (arrays(x=np.array([{}, 1], object), y=Y), "Python objects"),
    "no x": (arrays(y=Y), "has no x"),
    "path outside": (arrays(**{"../x": X}), "accepted: x and y"),
    "lengths": (arrays(x=X, y=Y[:5]), "20 examples, y 5"),
    "nan": (arrays(x=np.where(X == 4, np.nan, X), y=Y), "NaN, inf"),
    "dimensions": (arrays(x=np.zeros((20, 2, 2, 2, 2)), y=Y), "has the shape"),
    "one number": (arrays(x=np.float64(3), y=Y), "has the shape"),
    "texts": (arrays(x=np.array([["a"]] * 20), y=Y), "accepted: numbers"),
    "no examples": (arrays(x=X[:0], y=Y[:0]), "is empty"),
    "two shapes": (arrays(x_train=X, y_train=Y, x_test=X[:, :2], y_test=Y), "same in all parts"),
    "wrong classes": (arrays(x=X, y=Y + 1, keys={"classes": 7}), "data.classes = 7"),
    "no zip": (raw_file("a.npz", b"PK\x03\x04nothing"), "cannot be read"),
    "no npz": (raw_file("a.npy", b"x"), "is no .npz file"),
    "truncated jpeg": (images(truncated), "cannot be read as an image"),
    "no image": (images(lambda f: (f / "cat" / "a.png").write_bytes(b"hello")), "is no PNG or JPEG"),
    "huge image": (images(lambda f: Image.new("1", (8000, 8000)).save(f / "cat" / "h.png")), "8000x8000"),
    "no images": (lambda f: ({"name": "folder", "dir": str(f)}, "classes"), "has no images"),
    "no function": (lambda f: ({"name": "function", "function": "math.nothing"}, "classes"), "no function nothing"),
    "function fails": (lambda f: ({"name": "function", "function": "math.sqrt"}, "classes"), "fails: TypeError"),
    "no module": (lambda f: ({"name": "function", "function": "no_such.load"}, "classes"), "cannot be imported"),
}


@pytest.mark.parametrize("what", BAD)
def test_damaged_data_are_refused_in_one_paragraph(what, tmp_path):
    make, said = BAD[what]
    with pytest.raises(DataError) as caught:
        prepared(*make(tmp_path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "accepted" in str(caught.value)


def deep(folder):
    Image.fromarray(np.full((4, 5), 65535, "uint16")).save(folder / "cat" / "deep.png")
    Image.new("P", (9, 9)).save(folder / "dog" / "palette.png")


ODD = {
    "missing values": (table(TABLE.replace("\n4,", "\n,").replace(",x,", ",,")), [4]),
    "constant and empty columns": (table("a,e,t\n" + "1,,x\n2,,y\n" * 10), [2]),
    "semicolons": (table(TABLE.replace(",", ";")), [4]),
    "an index": (table(pd.read_csv(io.StringIO(TABLE)).to_csv()), [4]),
    "numbers": (table(TABLE, target=["a", "c"], kind="numbers"), [4]),
    "negative labels": (arrays(x=X, y=Y * 2 - 1), [3]),
    "whole floats": (arrays(x=X, y=Y.astype(float)), [3]),
    "sequences": (arrays(x=X[:, None].astype(int), y=Y), [1, 3]),
    "channels last": (arrays(x=np.zeros((20, 6, 5, 3), "uint8"), y=Y), [3, 6, 5]),
    "16 bits and a palette": (images(deep), [3, 4, 5]),
    "another size": (images(height=8, width=8, channels=1), [1, 8, 8]),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_data_are_read(what, tmp_path):
    make, shape = ODD[what]
    one = prepared(*make(tmp_path))
    assert one.sizes["shape"] == shape
    assert all(len(x) == len(y) > 0 and np.isfinite(x).all() for x, y in one.splits)


def test_a_fitted_preprocessing_is_plain_data_that_sees_its_training_rows_only():
    frame = pd.DataFrame({"n": [1.0, np.nan, 3.0, 100.0], "c": ["u", "v", None, "w"]})
    fitted = fit(frame, np.array([0, 1, 2]))
    x = Preprocessing.from_json(json.loads(json.dumps(fitted.as_json()))).apply(frame)
    assert fitted.features == ["n", "c=(missing)", "c=u", "c=v"]
    sd = np.sqrt(2 / 3)
    assert x[:, 0] == pytest.approx([-1 / sd, 0, 1 / sd, 98 / sd])
    assert x[3, 1:].tolist() == [0, 0, 0]  # a category that is not known


def test_splits_keep_shares_of_classes_groups_and_time(tmp_path):
    (_, y), (_, v), (_, t) = prepared(*table(TABLE)(tmp_path)).splits
    assert [y.sum(), v.sum(), t.sum()] == [6, 2, 2]
    one = prepared(*table(TABLE, target="c", kind="numbers", time="a")(tmp_path))
    assert one.splits[2][1][:, 0].tolist() == [256, 289, 324, 361]
    groups = "g,a,t\n" + "".join(f"{i // 4},{i},{i % 2}\n" for i in range(40))
    one = prepared(*table(groups, target=["a"], kind="numbers", group="g", columns=["a", "t"])(tmp_path))
    held = [set(y[:, 0] // 4) for _, y in one.splits]
    assert not held[0] & held[1] | held[0] & held[2] | held[1] & held[2]


@pytest.mark.parametrize("parts", [False, True])
def test_weights_stay_with_their_examples_at_mean_1_over_the_training_split(parts, tmp_path):
    data, _ = table(TABLE, weight="a", folds=2 if parts else None)(tmp_path)
    config = DataConfig.model_validate({"validation": 0.2, "test": 0.2, **data})
    named = {"x": X, "y": Y, "weight": X[:, 0]}
    saved, _ = arrays(**({f"{name}_train": value for name, value in named.items()} if parts else named))(tmp_path)
    others = own.load(DataConfig.model_validate({"validation": 0.2, "test": 0.2, **saved}))
    assert own.prepared(config, "classes").sizes["shape"] == [3]  # b as two columns, and c
    for deal, one in zip(own.prepared(config, "classes").deals, own.load(config), strict=True):
        raw = np.arange(20.0)[deal[0]]
        assert one.train.weights.numpy() == pytest.approx(raw / raw.mean())
        assert one.validation.weights is one.test.weights is None
    for one in others:
        raw = one.train.inputs[:, 0, 0, 0].numpy()
        assert one.train.weights.numpy() == pytest.approx(raw / raw.mean())


def test_a_configuration_gets_the_sizes_of_its_data_and_keeps_them(tmp_path):
    data, _ = table(TABLE)(tmp_path)
    base = {**example.raw(model={"maps": []}), "data": {**data, "validation": 0.2, "test": 0.2, "channels": None}}
    config = parse(base)
    assert (config.data.channels, config.data.classes, config.data.shape) == (4, 2, [4])
    (tmp_path / "mine.csv").unlink()
    assert parse(config.model_dump()) == config
    with pytest.raises(ConfigError, match="no such file"):
        parse(base)
