# SPDX-License-Identifier: Apache-2.0
"""Side-by-side measurements: one program on kernlet, in a container, in a Linux VM and natively."""
