"""The pytest plugin. Loading it imports nothing that pytest has not loaded already."""

from vision_evals.plugin.hooks import pytest_addoption as pytest_addoption
from vision_evals.plugin.hooks import pytest_collect_file as pytest_collect_file
from vision_evals.plugin.hooks import pytest_collection as pytest_collection
from vision_evals.plugin.hooks import pytest_collection_finish as pytest_collection_finish
from vision_evals.plugin.hooks import pytest_collection_modifyitems as pytest_collection_modifyitems
from vision_evals.plugin.hooks import pytest_configure as pytest_configure
from vision_evals.plugin.hooks import pytest_runtest_makereport as pytest_runtest_makereport
from vision_evals.plugin.hooks import pytest_sessionfinish as pytest_sessionfinish
from vision_evals.plugin.hooks import pytest_terminal_summary as pytest_terminal_summary
