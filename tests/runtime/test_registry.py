"""What packages bring is found by entry point."""

from runtime import registry


def test_a_package_that_is_installed_meanwhile_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    assert "late.client" not in registry.names("drivers")
    info = tmp_path / "late-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ironworks.drivers]\nlate.client = decimal:Decimal\n")
    assert "late.client" in registry.names("drivers")
    assert registry.load("drivers", "late.client").__name__ == "Decimal"


def test_the_packages_are_read_once(monkeypatch):
    found = registry.names("drivers")
    monkeypatch.setattr(registry, "entry_points", None)
    assert registry.names("drivers") == found
