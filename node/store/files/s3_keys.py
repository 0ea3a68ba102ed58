"""Keys of an object store, whose secret part may be renewed while the node runs."""

from dataclasses import dataclass

import botocore.session
from botocore.credentials import Credentials, ReadOnlyCredentials

from node.settings.credentials.secret_source import SecretSource


@dataclass(frozen=True)
class S3Keys:
    """The access key, and where its secret key is; without them, boto3 looks for keys as usual."""

    access_key: str
    secret_key: SecretSource

    def session(self) -> botocore.session.Session:
        """Returns a session that signs each request with the secret key as it is then.

        Raises:
            Misconfigured: there is no secret key where the settings say.
        """
        session = botocore.session.Session()
        if self.secret_key.is_named:
            self.secret_key.read()
            credentials = session.get_component("credential_provider")
            credentials.providers.insert(0, _Provider(self))
        return session


# Those that boto3 finds by itself.
USUAL_KEYS = S3Keys("", SecretSource("store_secret_key_file"))


@dataclass(frozen=True)
class _Provider:
    """The first place where botocore looks for keys (`botocore.credentials.CredentialProvider`)."""

    keys: S3Keys
    METHOD = CANONICAL_NAME = "segnode"

    def load(self) -> Credentials:
        """Returns the keys."""
        return _RenewedCredentials(self.keys)


class _RenewedCredentials(Credentials):
    """Reads the secret key for each request."""

    def __init__(self, keys: S3Keys) -> None:
        super().__init__(keys.access_key, "", method="segnode")
        self._keys = keys

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Returns the keys as they are now.

        Raises:
            Transient: there is no secret key now.
        """
        return ReadOnlyCredentials(self._keys.access_key, self._keys.secret_key.current(), None)
