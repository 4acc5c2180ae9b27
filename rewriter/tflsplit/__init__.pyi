# What type checkers and editors know of the names that __init__.py imports when they are used.
from tflsplit.api import Simulation as Simulation
from tflsplit.api import SplitModel as SplitModel
from tflsplit.api import Verification as Verification
from tflsplit.api import board_cluster as board_cluster
from tflsplit.api import load as load
from tflsplit.api import rewrite as rewrite

__version__: str
