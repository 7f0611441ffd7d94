"""A condition on many ids or texts whose SQL is the same however many there are.

SQLAlchemy's `in_` writes a parameter for each id, so each number of values is another statement to
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


class _ValueList(TypeDecorator[list[UUID | str]]):
    """An array on PostgreSQL, a JSON array of text on SQLite, as it stores ids."""

    impl = String
    cache_ok = True

    def __init__(self, element: type[Uuid[UUID] | String]) -> None:
        super().__init__()
        self.element = element

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """How the parameter travels."""
        is_array = dialect.name == "postgresql"
        return dialect.type_descriptor(ARRAY(self.element()) if is_array else String())

    def process_bind_param(self, value: Iterable[UUID | str] | None, dialect: Dialect) -> Any:
        """The values as the parameter holds them."""
        values = list(value or ())
        if dialect.name == "postgresql":
            return values
        return orjson.dumps([one.hex if isinstance(one, UUID) else one for one in values]).decode()


class is_one_of(ColumnElement[bool]):  # noqa: N801 - reads as the condition it is
    """Whether the column holds one of the ids or texts that the parameter `name` gives."""

    inherit_cache = True
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], name: str = "ids") -> None:
        self.column = column
        element = Uuid if isinstance(column.type, Uuid) else String
        self.values = bindparam(name, type_=_ValueList(element))

    def self_group(self, against: Any = None) -> Self:
        """As it is: on SQLite it would else be compared with 1, and then no index finds them."""
        del against
        return self

    _traverse_internals = [  # noqa: RUF012 - how SQLAlchemy learns what a construct is made of
        ("column", InternalTraversal.dp_clauseelement),
        ("values", InternalTraversal.dp_clauseelement),
    ]


@compiles(is_one_of, "postgresql")
def _postgresql(element: is_one_of, compiler: Any, **kw: Any) -> str:
    return (
        f"{compiler.process(element.column, **kw)} = ANY ({compiler.process(element.values, **kw)})"
    )


@compiles(is_one_of, "sqlite")
def _sqlite(element: is_one_of, compiler: Any, **kw: Any) -> str:
    column, values = compiler.process(element.column, **kw), compiler.process(element.values, **kw)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - SQLAlchemy's text
