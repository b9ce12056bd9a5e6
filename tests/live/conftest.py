from tests.integration.conftest import model  # noqa: F401 -- the fixture
