"""What the server is told by its environment; the only reader of it.

    ZOO_DB                  .zoo/registry/zoo.db    path of the SQLite catalogue, or an SQLAlchemy
                            URL
    ZOO_STORE               .zoo/registry           where blobs and releases are: a folder,
                            file:///folder or s3://bucket/prefix
    ZOO_SPOOL               beside the database     folder where uploads wait until they are whole
    ZOO_HOST                127.0.0.1               address to listen on
    ZOO_PORT                8080                    port to listen on; 0 = any free one
    ZOO_PUBLIC_READS        true                    whether reading needs no token
    ZOO_TRUSTED             false                   whether writing needs no token: only where
                            nobody else can reach the port
    ZOO_OPEN_MEASUREMENTS   false                   whether visitors need no token to submit what
                            their browsers measured
    ZOO_MAX_BLOB            4GiB                    largest blob taken
    ZOO_PRESIGN             0                       seconds that presigned S3 addresses hold; 0 =
                            the server sends the bytes itself
    ZOO_LITERTJS            the user's cache        folder where LiteRT.js is installed, for
                            measuring in the visitor's browser

The S3 server and its credentials are botocore's own business: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_PROFILE and so on.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo_registry.model.errors import WrongUse
from zoo_registry.model.query import Size
from zoo_registry.model.record import explain

PREFIX = "ZOO_"
FOLDER = Path(".zoo") / "registry"


class Settings(BaseModel):
    """How a server runs. See the top of this module for each field's variable and meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    db: str = str(FOLDER / "zoo.db")
    store: str = str(FOLDER)
    spool: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    public_reads: bool = True
    trusted: bool = False
    open_measurements: bool = False
    max_blob: Annotated[Size, Field(gt=0)] = 4 << 30
    presign: Annotated[int, Field(ge=0, le=7 * 24 * 3600)] = 0
    litertjs: Path | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Take the settings from the environment; what is `given` (and not None) wins.

        Raises:
            WrongUse: a value cannot be understood; the message names its variable.
        """
        source = os.environ if environment is None else environment
        found = {
            name: source[PREFIX + name.upper()]
            for name in cls.model_fields
            if source.get(PREFIX + name.upper())
        }
        try:
            return cls.model_validate(
                {**found, **{name: value for name, value in given.items() if value is not None}}
            )
        except ValidationError as error:
            names = ", ".join(PREFIX + str(item["loc"][0]).upper() for item in error.errors())
            raise WrongUse(f"{names}: {explain(error)}", hint="zoo serve --help") from error

    @classmethod
    def embedded(cls, folder: Path) -> Self:
        """Settings of the registry that lives in a project's folder.

        Whoever can write there may publish.
        """
        return cls(
            db=str(folder / "zoo.db"), store=str(folder), spool=folder / "uploads", trusted=True
        )

    @property
    def spool_folder(self) -> Path:
        """Where uploads wait: beside an SQLite database.

        Else in the machine's folder for temporary files.
        """
        if self.spool is not None:
            return self.spool
        return (
            Path(tempfile.gettempdir()) / "zoo-uploads"
            if "://" in self.db
            else Path(self.db).absolute().parent / "uploads"
        )
