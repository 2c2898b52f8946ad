"""Who is on a list."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Member(Base):
    """A member of a list, by the address that was confirmed."""

    __tablename__ = "tea_members"

    listname: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)


metadata = Base.metadata


def members(db: Session, listname: str) -> list[str]:
    """The addresses of a list's members, in alphabetical order."""
    return list(db.scalars(select(Member.address).where(Member.listname == listname).order_by(Member.address)))
