"""How long hypothesis looks: a minute for all of this folder, ten times longer with `--hypothesis-profile long`."""

from hypothesis import HealthCheck, settings

_ALWAYS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
settings.register_profile("short", max_examples=25, derandomize=True, database=None, **_ALWAYS)
settings.register_profile("long", max_examples=500, **_ALWAYS)
settings.load_profile("short")
