"""The runtime: compiled files run by onnxruntime, which is imported here and nowhere else.

What a caller gets wrong is said before onnxruntime sees it.
"""

from rnnc.runtime.files import run_file as run_file
from rnnc.runtime.files import time_axis as time_axis
from rnnc.runtime.sessions import Provider as Provider
from rnnc.runtime.sessions import Source as Source
from rnnc.runtime.sessions import content_digest as content_digest
from rnnc.runtime.sessions import failures as failures
from rnnc.runtime.sessions import manifest_of as manifest_of
from rnnc.runtime.sessions import run_error as run_error
from rnnc.runtime.sessions import session as session
from rnnc.runtime.stream import Stream as Stream
