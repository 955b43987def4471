"""Images of the user's looks are kept for the next start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tpos_live.core.looks import Look, Show
from tpos_live.web import thumbnails
from tpos_live.web.thumbnails import LARGEST, LookImages, Thumbnails, look_key

JPEG = b"\xff\xd8 an image"
SHOW = Show((Look("a", {"prompt": "deep sea"}), Look("b", {"prompt": "fire"})))


def test_an_image_survives_a_restart_and_belongs_to_what_the_look_holds(tmp_path: Path) -> None:
    thumbnails = Thumbnails(lambda done: done(JPEG), Show(), LookImages(tmp_path / "looks"))
    thumbnails.follow(Show(SHOW.looks[:1]))
    again = Thumbnails(lambda done: None, SHOW, LookImages(tmp_path / "looks"))
    assert again.image("a") == JPEG and again.image("b") is None and again.numbers == {"a": 1}
    renamed = Show((Look("other name", SHOW.looks[0].values), Look("a", {"prompt": "deep sea", "seed": 2})))
    other = Thumbnails(lambda done: None, renamed, LookImages(tmp_path / "looks"))
    assert other.image("other name") == JPEG and other.image("a") is None


@pytest.mark.parametrize("content", [b"", b"text", JPEG + bytes(LARGEST)])
def test_a_damaged_image_is_none(tmp_path: Path, content: bytes) -> None:
    images, key = LookImages(tmp_path), look_key(SHOW.looks[0])
    (tmp_path / f"{key}.jpg").write_bytes(content)
    assert images.get(key) is None
    images.put(key, JPEG)
    assert images.get(key) == JPEG


def test_the_folder_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MOST", 3)
    images = LookImages(tmp_path)
    for n in range(6):
        images.put(str(n), JPEG)
        os.utime(tmp_path / f"{n}.jpg", (n, n))
    images.put("6", JPEG)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["4.jpg", "5.jpg", "6.jpg"]


_STORE = """
import sys
from pathlib import Path
from tpos_live.web import thumbnails
thumbnails.MOST = 4
sys.stdin.readline()
images = thumbnails.LookImages(Path("."))
for n in range(3000):
    images.put(sys.argv[1] + str(n % 5), bytes([0xFF, 0xD8]))
assert not images._failed
"""


def test_two_shows_store_images_in_one_folder(tmp_path: Path) -> None:
    shows = [
        subprocess.Popen([sys.executable, "-c", _STORE, name], cwd=tmp_path, stdin=subprocess.PIPE) for name in "ab"
    ]
    for show in shows:
        assert show.stdin is not None
        show.stdin.write(b"\n")
        show.stdin.close()
    assert [show.wait(60) for show in shows] == [0, 0]


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path, messages: list[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    images = LookImages(tmp_path / "file")
    images.put("a", JPEG)
    images.put("b", JPEG)
    assert images.get("a") is None and len(messages) == 1 and "until the end of the show" in messages[0]
