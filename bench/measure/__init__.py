# SPDX-License-Identifier: BSD-3-Clause
"""What scripts/bench is made of: traffic, programs that take it, and what is told of them."""
