"""From the files of TLS to a context of the standard library."""

import ssl

from exporter.config import ConfigError, ConfigErrors
from exporter.web.webconfig import TLS, ClientAuth, TLSFiles, Version

VERSIONS: dict[Version, ssl.TLSVersion] = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
VERIFY: dict[ClientAuth, ssl.VerifyMode] = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def server_context(files: TLSFiles) -> ssl.SSLContext:
    """A context for a server. Raise `ConfigErrors` when a file can't be read, or the key is another certificate's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[files.min_version]
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a password would be asked for at a terminal that nobody sits at: it is wrong instead.
        context.load_cert_chain(files.certificate, files.key, password=str)
    except (OSError, ValueError) as error:
        message = f"{files.certificate} with the key {files.key} cannot be used: {_reason(error)}"
        raise ConfigErrors([ConfigError("", f"{TLS}cert_file", message)]) from None
    context.verify_mode = VERIFY[files.client_auth]
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except (OSError, ValueError) as error:
            message = f"{files.client_ca} cannot be used: {_reason(error)}"
            raise ConfigErrors([ConfigError("", f"{TLS}client_ca_file", message)]) from None
    return context


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
