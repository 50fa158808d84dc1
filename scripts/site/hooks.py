"""Make the site of the pages as they are on GitHub: README.md is home, links out of docs/ lead to the repository."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the home page."""
    text = LINK.sub(lambda m: m[1] + home(m[2]) + m[3], (ROOT / "README.md").read_text(encoding="utf-8"))
    files.append(File.generated(config, "index.md", content=text))
    return files


def home(target: str) -> str:
    """Where a link of README.md leads from docs/."""
    return target.removeprefix("docs/") if target.startswith("docs/") else "../" + target


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Send links to files that are not pages to the repository."""
    folder = posixpath.dirname(page.file.src_uri)

    def replace(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, match[2]))
        if target == "README.md":
            return match[1] + posixpath.relpath("index.md", folder or ".") + match[3]
        if target.startswith("docs/"):
            inside = target.removeprefix("docs/")
            if (ROOT / target).is_dir():  # such as iam
                inside += "/README.md"
            if files.get_file_from_path(inside):
                return match[1] + posixpath.relpath(inside, folder or ".") + match[3]
        if "://" in match[2] or not (ROOT / target).exists():
            return match[0]  # an address, or a mistake that mkdocs reports
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"{match[1]}{config.repo_url}/{kind}/main/{target}{match[3]}"

    return LINK.sub(replace, markdown)
