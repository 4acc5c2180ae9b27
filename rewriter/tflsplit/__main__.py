import sys
from tflsplit.cli import main
sys.exit(main())
