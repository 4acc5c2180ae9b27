// SPDX-License-Identifier: Apache-2.0
// Ring buffers of a link, unless the build says otherwise.
#ifndef SPLIT_PORT_RING_BYTES_H_
#define SPLIT_PORT_RING_BYTES_H_

// Bytes that may arrive while the owner is inside a kernel; see ByteStream in split_core.
#ifndef SPLIT_PORT_RX_BYTES
#define SPLIT_PORT_RX_BYTES 4096
#endif
#ifndef SPLIT_PORT_TX_BYTES
#define SPLIT_PORT_TX_BYTES 1024
#endif

#endif  // SPLIT_PORT_RING_BYTES_H_
