"""TinyDB's Table over a journal: what it documents, for many processes at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from tinydb.queries import QueryLike
from tinydb.table import Document, Table
from tinydb.utils import LRUCache

from mlbench.tracking.database.documents import decode
from mlbench.tracking.database.draft import Draft, Fields
from mlbench.tracking.database.storage import JournaledStorage
from mlbench.tracking.database.tables import Lines


class JournaledTable(Table):
    """A table whose changes are one durable record each, made whole or not at all.

    Documents come in the order of their ids, and each is the caller's own: changing it changes
    nothing here. An id that was given is not given again, unless the table was truncated.
    """

    def __init__(
        self,
        storage: JournaledStorage,
        name: str,
        cache_size: int = Table.default_query_cache_capacity,
        persist_empty: bool = False,
    ) -> None:
        """As TinyDB's; `persist_empty` leaves the documents of a table that is there alone."""
        super().__init__(storage, name, cache_size)
        self._files = storage
        # Ids alone: a document in a cache could be changed by who was handed it.
        self._found = cast("LRUCache[QueryLike, list[int]]", self._query_cache)
        self._found_at = -1
        if persist_empty:
            with self._draft():
                pass

    def lines(self) -> Lines:
        """Every document undecoded, as JSON, by its id and in the order of these, as of now.

        `decode` of this package reads one.
        """
        return self._files.lines(self.name)

    def insert(self, document: Mapping[str, Any]) -> int:
        """Insert a document and give its id; ValueError where its own id is taken."""
        (number,) = self.insert_multiple([document])
        return number

    def insert_multiple(self, documents: Iterable[Mapping[str, Any]]) -> list[int]:
        """Insert documents, all or none, and give their ids."""
        several = list(documents)
        if not all(isinstance(document, Mapping) for document in several):
            raise ValueError("Document is not a Mapping")
        with self._draft() as draft:
            return [draft.insert(document, _own_id(document)) for document in several]

    def search(self, cond: QueryLike) -> list[Document]:
        """Every document that matches."""
        with self._files.looking() as current:
            lines, version = self.lines(), current.version
            if version != self._found_at:
                self.clear_cache()
                self._found_at = version
            ids = self._found.get(cond)
        if ids is not None:
            return [self._document(number, lines[number]) for number in ids if number in lines]
        found = [
            self.document_class(document, number)
            for number, document in _decoded(lines)
            if cond(document)
        ]
        if getattr(cond, "is_cacheable", lambda: True)():
            with self._files.looking():
                if version == self._found_at:
                    self._found[cond] = [document.doc_id for document in found]
        return found

    def get(
        self,
        cond: QueryLike | None = None,
        doc_id: int | None = None,
        doc_ids: list[int] | None = None,
    ) -> Any:
        """One document by id or condition or None; for `doc_ids` the list of those that exist."""
        lines = self.lines()
        if doc_id is not None:
            line = lines.get(doc_id)
            return None if line is None else self._document(doc_id, line)
        if doc_ids is not None:
            known = ((number, lines.get(number)) for number in sorted({*doc_ids}))
            return [self._document(number, line) for number, line in known if line is not None]
        if cond is not None:
            found = (pair for pair in _decoded(lines) if cond(pair[1]))
            for number, document in found:
                return self.document_class(document, number)
            return None
        raise RuntimeError("You have to pass either cond or doc_id or doc_ids")

    def update(
        self,
        fields: Fields,
        cond: QueryLike | None = None,
        doc_ids: Iterable[int] | None = None,
    ) -> list[int]:
        """Set fields in every document that matches, or call `fields` with it; gives their ids.

        Where `fields` raises, nothing is changed.
        """
        with self._draft() as draft:
            updated = []
            for number, document in _chosen(draft, cond, doc_ids):
                draft.edit(number, document, fields)
                updated.append(number)
            return updated

    def update_multiple(self, updates: Iterable[tuple[Fields, QueryLike]]) -> list[int]:
        """Several updates at once, each document by all that match it; gives an id for each."""
        several = list(updates)
        with self._draft() as draft:
            updated = []
            for number, document in draft.documents():
                for fields, cond in several:
                    if cond(document):
                        draft.edit(number, document, fields)
                        updated.append(number)
            return updated

    def upsert(self, document: Mapping[str, Any], cond: QueryLike | None = None) -> list[int]:
        """Update what matches, or insert the document; nobody else's write comes between."""
        with self._files.writing():
            return super().upsert(document, cond)

    def remove(
        self, cond: QueryLike | None = None, doc_ids: Iterable[int] | None = None
    ) -> list[int]:
        """Remove every document that matches; gives the ids of those that there were."""
        if cond is None and doc_ids is None:
            raise RuntimeError("Use truncate() to remove all documents")
        with self._draft() as draft:
            chosen = _chosen(draft, cond, doc_ids)
            removed = list(dict.fromkeys(number for number, _ in chosen))
            for number in removed:
                draft.remove(number)
            return removed

    def truncate(self) -> None:
        """Remove every document; ids begin with 1 again."""
        with self._draft() as draft:
            draft.clear()

    def __len__(self) -> int:
        """How many documents there are."""
        with self._files.looking() as current:
            table = current.tables.get(self.name)
            return len(table) if table is not None else 0

    def __iter__(self) -> Iterator[Document]:
        """Every document as of now."""
        for number, document in _decoded(self.lines()):
            yield self.document_class(document, number)

    @contextlib.contextmanager
    def _draft(self) -> Iterator[Draft]:
        """Changes that are written when the block ends well."""
        with self._files.writing() as current:
            table = current.tables.get(self.name)
            lines = table.live() if table is not None else Lines(None, {}, 1)
            draft = Draft(self.name, lines, is_there=table is not None)
            yield draft
            if draft.changes:
                self._files.commit(draft.changes)

    def _document(self, number: int, line: bytes) -> Document:
        return self.document_class(decode(line), number)


def _own_id(document: Mapping[str, Any]) -> int | None:
    return int(document.doc_id) if isinstance(document, Document) else None


def _decoded(lines: Lines) -> Iterator[tuple[int, dict[str, Any]]]:
    return ((number, decode(line)) for number, line in lines.pairs())


def _chosen(
    draft: Draft, cond: QueryLike | None, doc_ids: Iterable[int] | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The documents that a change is about."""
    if doc_ids is not None:
        for number in doc_ids:
            document = draft.document(number)
            if document is not None:
                yield number, document
        return
    for number, document in draft.documents():
        if cond is None or cond(document):
            yield number, document
