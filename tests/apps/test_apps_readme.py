"""The app that the README shows is accepted and works."""

import re
from pathlib import Path

import apps
from runtime.assembly import assemble
from runtime.testing.virtual import VirtualPlant

README = Path(apps.__file__).parent / "README.md"


def test_the_app_of_the_readme_runs(tmp_path):
    text = README.read_text(encoding="utf-8")
    manifest = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1]
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    entry = re.search(r"`(apps: \[.*?\])` to plant.yaml", text)[1]
    folder = tmp_path / "apps" / "hot"
    folder.mkdir(parents=True)
    (folder / "app.yaml").write_text(manifest, encoding="utf-8")
    (folder / "app.py").write_text(code, encoding="utf-8")
    (tmp_path / "plant.yaml").write_text(f"plant: p\nroot: a/b/c\napi: null\nhistory: null\n{entry}\n")
    (tmp_path / "tags.csv").write_text("path,type,access\ntank/temperature_c,REAL,rw\n")
    assert [str(each) for each in assemble(tmp_path).check()] == []
    plant = VirtualPlant(tmp_path)
    plant.write("tank/temperature_c", 37.0)
    plant.run_for("2s")
    assert plant["tank/hot"] is False
    plant.write("tank/temperature_c", 39.0)
    plant.run_for("2s")
    assert plant["tank/hot"] is True
    assert "tank.hot" in plant.active_alarms()
