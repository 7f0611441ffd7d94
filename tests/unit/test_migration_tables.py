"""Every table that there is, is one of those that the migrations make."""

from sqlmodel import SQLModel

from asynctasks.migrations.tables import TABLES


def test_each_table_is_listed_for_its_rights_and_its_look_before_a_migration():
    assert {str(table.__tablename__) for table in TABLES} == set(SQLModel.metadata.tables)
