"""INCEpTION, and other tools on UIMA: CAS XMI, through ``dkpro-cassis`` (the extra ``inception``).

Read are ``.xmi`` files with their ``TypeSystem.xml`` beside them, the ``.zip`` in which INCEpTION exports both, and
folders of either; of each, the layer Named entity (``NamedEntity``, its ``value``). UIMA counts offsets in UTF-16
units; cassis turns them into code points. Written are a ``.xmi`` a report with sentences, tokens (the words of
:func:`~marsad.text.words.split_words`) and named entities, one ``TypeSystem.xml``, and ``reports.jsonl`` for id,
published, source and metadata, which XMI has no place for; without it the file's name is the id. Scores and further
keys of entities are not carried.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from marsad.annotations.formats.collection import SIDECAR, Carried, file_names, in_order, read_sidecar, sidecar_line
from marsad.annotations.formats.raw import LeftOut, RawReport, RawSpan, new_folder, readable
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words

TYPES = "TypeSystem.xml"
_CORE = "de.tudarmstadt.ukp.dkpro.core.api"
_ENTITY = f"{_CORE}.ner.type.NamedEntity"
_TOKEN = f"{_CORE}.segmentation.type.Token"
_SENTENCE = f"{_CORE}.segmentation.type.Sentence"


def read(path: Path, encoding: str = "utf-8") -> Iterator[RawReport | LeftOut]:
    """The reports of a folder, a ``.zip`` or a ``.xmi`` file; XML says its encoding itself.

    Raises MarsadError where there is none, or no type system.
    """
    _cassis()
    with readable(path):
        path.stat()
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in (".xmi", ".zip") and file.is_file())
        if not files:
            raise MarsadError(f"{path}: the folder holds no .xmi or .zip files")
    root = path if path.is_dir() else path.parent
    for folder in sorted({file.parent for file in files}):
        carried = read_sidecar(root) | read_sidecar(folder)
        here = [(_name(file, root), file) for file in files if file.parent == folder]
        rank = {name: number for number, name in enumerate(in_order([name for name, _ in here], carried))}
        types: Any = None
        for name, file in sorted(here, key=lambda one: rank[one[0]]):
            known = carried.get(name, Carried(name, None, None, {}))
            if file.suffix == ".zip":
                yield _zip(file, known)
                continue
            types = types or _types(folder / TYPES)
            with readable(file):
                yield _report(file.read_bytes(), types, str(file), known)


def _name(file: Path, root: Path) -> str:
    """The report's name: the file's, but in a project's export the folder's, with an archive for each user in it."""
    archived = file.suffix == ".zip" and file.parent != root
    return file.parent.name.removesuffix(".xmi") if archived else file.stem.removesuffix(".xmi")


def _cassis() -> Any:
    try:
        import cassis
    except ModuleNotFoundError:
        raise MarsadError("INCEpTION's files need the package dkpro-cassis: pip install 'marsad[inception]'") from None
    return cassis


def _types(path: Path) -> Any:
    if not path.is_file():
        raise MarsadError(f"{path}: no such file; export as UIMA CAS XMI, which has the type system beside the report")
    with readable(path):
        return _load_types(path.read_bytes(), str(path))


def _load_types(content: bytes, where: str) -> Any:
    from lxml.etree import XMLSyntaxError

    try:
        return _cassis().load_typesystem(io.BytesIO(content))
    except (XMLSyntaxError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MarsadError(f"{where}: no type system of UIMA ({_line(error)})") from None


def _zip(path: Path, carried: Carried) -> RawReport | LeftOut:
    try:
        with readable(path), zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".xmi")]
            types = next((name for name in archive.namelist() if name.rpartition("/")[2] == TYPES), None)
            if len(names) != 1 or types is None:
                raise MarsadError(f"{path}: holds not one .xmi with a {TYPES}; export as UIMA CAS XMI, or unpack it")
            system = _load_types(archive.read(types), f"{path}:{types}")
            return _report(archive.read(names[0]), system, f"{path}:{names[0]}", carried)
    except zipfile.BadZipFile as error:
        raise MarsadError(f"{path}: a broken or no .zip file ({error}); export it again") from None


def _report(content: bytes, types: Any, where: str, carried: Carried) -> RawReport | LeftOut:
    from lxml.etree import XMLSyntaxError

    shown = content.decode("utf-8", "backslashreplace")
    try:
        with warnings.catch_warnings():
            # An offset inside a character or outside the text.
            warnings.simplefilter("error", UserWarning)
            cas = _cassis().load_cas_from_xmi(io.BytesIO(content), typesystem=types)
    except XMLSyntaxError as error:
        return LeftOut(where, shown, carried.id, "no XML", f"no XML, or cut off ({_line(error)})")
    except UserWarning as error:
        return LeftOut(where, shown, carried.id, "span outside the text", _line(error))
    except (_cassis().typesystem.TypeNotFoundError, ValueError, LookupError, TypeError, AttributeError) as error:
        return LeftOut(where, shown, carried.id, "no CAS", f"no CAS of this type system ({_line(error)})")
    layers = {kind.name for kind in types.get_types()}
    if _ENTITY not in layers:
        reason = f"its type system has no layer {_ENTITY}"
        return LeftOut(where, shown, carried.id, "no layer Named entity", reason)
    entities = cas.select(_ENTITY)
    others = sum(one.type.name.startswith(("webanno.custom", "custom.")) for one in cas.select_all_annotations())
    return RawReport(
        where=where,
        record=shown,
        id=carried.id,
        text=cas.sofa_string,
        spans=[RawSpan(one.begin, one.end, one.value) for one in entities],
        published=carried.published,
        source=carried.source,
        metadata=carried.metadata,
        ignored={"annotations of other layers": others} if others else {},
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as a new folder of ``.xmi`` files, whole or not at all.

    Raises MarsadError when it can't be written, something stands there already, or a text holds what XML can't
    (control characters, lone surrogates).
    """
    cassis = _cassis()
    documents = list(documents)
    types = _core_types()
    with new_folder(path) as folder, (folder / SIDECAR).open("w", encoding="utf-8", newline="\n") as sidecar:
        types.to_xml(folder / TYPES)
        for name, document in zip(file_names(documents), documents, strict=True):
            try:
                _cas(cassis, types, document).to_xmi(folder / f"{name}.xmi")
            except ValueError as error:
                raise MarsadError(f"{document.id!r}: XML can't hold its text or labels ({_line(error)})") from None
            sidecar.write(sidecar_line(name, document) + "\n")


@cache
def _core_types() -> Any:
    return _cassis().load_dkpro_core_typesystem()


def _cas(cassis: Any, types: Any, document: Document) -> Any:
    cas = cassis.Cas(typesystem=types)
    cas.sofa_string = document.text
    cas.sofa_mime = "text/plain"
    make_token, make_sentence = types.get_type(_TOKEN), types.get_type(_SENTENCE)
    make_entity = types.get_type(_ENTITY)
    words = split_words(document.text, TextConfig())
    for first, last in words.paragraphs:
        paragraph = words.words[first:last]
        cas.add(make_sentence(begin=paragraph[0].start, end=paragraph[-1].end))
        cas.add_all([make_token(begin=word.start, end=word.end) for word in paragraph])
    for entity in document.entities:
        cas.add(make_entity(begin=entity.start, end=entity.end, value=entity.label))
    return cas
