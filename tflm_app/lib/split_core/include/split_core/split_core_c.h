/* SPDX-License-Identifier: Apache-2.0
 *
 * The node for other languages: plain C, no allocation, no threads, no callbacks but one. The caller
 * carries the bytes: what came from a neighbour goes into split_core_feed(), what
 * split_core_drain() hands out goes to it. One node must be used by one thread at a time.
 *
 * Functions that return int return an error code: 0 is success, others are ErrorCode in error.h.
 */
#ifndef SPLIT_CORE_SPLIT_CORE_C_H_
#define SPLIT_CORE_SPLIT_CORE_C_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct split_core_node split_core_node;

typedef struct {
  uint64_t destinations; /* bit r: rank r is reached through this link */
  uint8_t peer_rank;
  uint8_t ring_next; /* link in which ring traffic from here continues; 255: none */
  uint8_t reserved[6];
} split_core_link_config;

/* Fields as in config.h. A zero in a time or a slot count takes the default there. */
typedef struct {
  const split_core_link_config* links;
  uint32_t boot_nonce;
  uint32_t hello_interval_us;
  uint32_t poll_interval_us;
  uint32_t poll_interval_max_us;
  uint32_t peer_timeout_us;
  uint32_t multicast_hold_us;
  uint16_t mtu_bytes;
  uint8_t rank;
  uint8_t world_size;
  uint8_t node_count;
  uint8_t link_count;
  uint8_t rx_slots;
  uint8_t tx_slots;
  uint8_t send_slots;
  uint8_t recv_slots;
  uint8_t grant_slots;
  uint8_t reserved;
  uint8_t fingerprint[16];
} split_core_config;

typedef struct {
  uint32_t frames_sent, frames_resent, frames_received, duplicates, gaps, bad_headers, bad_acks,
      over_credit, dropped, stalls, polls, sessions, bytes_sent, bytes_received, crc_errors,
      cobs_errors, too_long, too_short;
} split_core_counters;

/* A box of a tensor: extents (n, h, w, c) in elements, strides in bytes. */
typedef struct {
  void* base;
  uint32_t extent[4];
  uint32_t stride_bytes[4];
  uint8_t element_bytes;
  uint8_t reserved[7];
} split_core_box;

/* What went wrong: fields of Error in error.h; 255 and 65535 stand for "none". */
typedef struct {
  uint8_t code, rank, link, reporter;
  uint16_t channel;
  uint16_t reserved;
} split_core_error_info;

typedef void (*split_core_datagram_fn)(void* context, uint8_t source, uint16_t channel,
                                       const uint8_t* payload, size_t payload_bytes);

/* Bytes of memory, aligned to 8, that a node needs; 0 if the configuration is wrong. */
size_t split_core_required_bytes(const split_core_config* config);
/* Null if the configuration is wrong or the memory too small. The configuration is copied. */
split_core_node* split_core_create(void* memory, size_t memory_bytes,
                                   const split_core_config* config,
                                   split_core_datagram_fn on_datagram, void* context);

/* Both return how many bytes were taken or given; fewer than asked for when there is no room. */
size_t split_core_feed(split_core_node* node, uint8_t link, const uint8_t* bytes, size_t count);
size_t split_core_drain(split_core_node* node, uint8_t link, uint8_t* to, size_t capacity);
void split_core_poll(split_core_node* node, uint32_t now_us);

void split_core_begin_epoch(split_core_node* node, uint16_t epoch);
int split_core_post_send(split_core_node* node, uint16_t channel, uint64_t destinations,
                         const split_core_box* box);
int split_core_begin_recv(split_core_node* node, uint16_t channel, uint8_t source,
                          const split_core_box* box);
/* 1 or 0 */
int split_core_recvs_complete(const split_core_node* node);
int split_core_send_released(const split_core_node* node, uint16_t channel);
int split_core_idle(split_core_node* node); /* all sends released and acknowledged */
int split_core_ready(split_core_node* node); /* all links up */
/* 1 if queued, 0 if there is no room now or an argument is wrong. */
int split_core_send_datagram(split_core_node* node, uint64_t destinations, uint16_t channel,
                             const uint8_t* payload, size_t payload_bytes);
/* Ends the inference on every rank, for the reason that a wait ran out of time. */
void split_core_fail_with_timeout(split_core_node* node);
/* Ends it on every rank because of something beyond the links: `code` as in error.h. */
void split_core_fail(split_core_node* node, uint8_t code, uint8_t rank);

/* The first error of this inference; its text (with a final zero) if `text` is not null. */
int split_core_error(split_core_node* node, char* text, size_t capacity);
/* Why the first link that is not up is not; 0 if all are up. */
int split_core_link_error(split_core_node* node, char* text, size_t capacity);
/* The first error of this inference, in fields; code 0 while there is none. */
void split_core_get_error(split_core_node* node, split_core_error_info* info);
/* 0 down, 1 up, 2 refused; why it is not up, in `*code` (0 if it is, or was not tried yet). */
int split_core_link_state(split_core_node* node, uint8_t link, uint8_t* code);
/* The rank that the other end said it is; 255: it has said nothing yet. */
uint8_t split_core_link_claimed(split_core_node* node, uint8_t link);
void split_core_get_counters(split_core_node* node, uint8_t link, split_core_counters* counters);

#ifdef __cplusplus
}
#endif

#endif /* SPLIT_CORE_SPLIT_CORE_C_H_ */
