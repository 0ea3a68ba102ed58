"""The font is the one that Debian distributes, and it has the letters of patients' names."""

import hashlib

from node.dicom.results.pages.fonts import font_path, is_covered

# Of wqy-microhei.ttc in Debian's fonts-wqy-microhei 0.2.0-beta-3.1.
_DEBIAN_SHA256 = "2420e8078af796b19a3f6ef13de527a1a91c1e7171eea115926c614ced1009b3"


def test_the_font_file_is_that_of_debian() -> None:
    assert hashlib.sha256(font_path().read_bytes()).hexdigest() == _DEBIAN_SHA256


def test_the_font_has_the_letters_of_names_in_many_languages() -> None:
    for names in (
        "".join(map(chr, range(0x00C0, 0x0180))),  # Latin of western and central Europe, Turkish
        "Nguyễn Thị Hồng Đặng",
        "Γιώργος Παπαδόπουλος",
        "Юрий Щербаков, Їжакевич, Ђорђевић",
        "山田太郎 やまだ ヤマダ 김희중 王小東",
    ):
        assert is_covered(names)
