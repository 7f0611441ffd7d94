"""A condition on many ids whose SQL is the same however many there are.

SQLAlchemy's `in_` writes a parameter for each id, so each number of ids is another statement to
compile, and for PostgreSQL to prepare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, Boolean, ColumnElement, String, TypeDecorator, Uuid, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.visitors import InternalTraversal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine


class _IdList(TypeDecorator[list[UUID]]):
    """An array on PostgreSQL, a JSON array of text on SQLite, as it stores ids."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """How the parameter travels."""
        is_array = dialect.name == "postgresql"
        return dialect.type_descriptor(ARRAY(Uuid()) if is_array else String())

    def process_bind_param(self, value: Iterable[UUID] | None, dialect: Dialect) -> Any:
        """The ids as the parameter holds them."""
        ids = list(value or ())
        if dialect.name == "postgresql":
            return ids
        return orjson.dumps([one.hex for one in ids]).decode()


class is_one_of(ColumnElement[bool]):  # noqa: N801 - reads as the condition it is
    """Whether the column holds one of the ids that the parameter `name` gives."""

    inherit_cache = True
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], name: str = "ids") -> None:
        self.column = column
        self.ids = bindparam(name, type_=_IdList())

    def self_group(self, against: Any = None) -> Self:
        """As it is: on SQLite it would else be compared with 1, and then no index finds the ids."""
        del against
        return self

    _traverse_internals = [  # noqa: RUF012 - how SQLAlchemy learns what a construct is made of
        ("column", InternalTraversal.dp_clauseelement),
        ("ids", InternalTraversal.dp_clauseelement),
    ]


@compiles(is_one_of, "postgresql")
def _postgresql(element: is_one_of, compiler: Any, **kw: Any) -> str:
    return f"{compiler.process(element.column, **kw)} = ANY ({compiler.process(element.ids, **kw)})"


@compiles(is_one_of, "sqlite")
def _sqlite(element: is_one_of, compiler: Any, **kw: Any) -> str:
    column, ids = compiler.process(element.column, **kw), compiler.process(element.ids, **kw)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608 - SQLAlchemy's text
