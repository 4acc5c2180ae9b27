// SPDX-License-Identifier: Apache-2.0
// The traffic of collectives on simulated 6 Mbaud rings. tests/sim compares tflsplit's simulator and
// cost model with the lines that start with MEASURED.
#include "check.h"
#include "workload.h"

namespace {

using namespace sim;

enum class Pattern { kHalo, kUp, kGather, kScatter };

struct Case {
  Pattern pattern;
  const char* name;
  uint8_t nodes;
  uint32_t bytes;
};

bool sends(Pattern pattern, int source, int to) {
  switch (pattern) {
    case Pattern::kHalo:
      return to == source + 1 || to == source - 1;
    case Pattern::kUp:
      return to == source - 1;
    default:
      return to != source;
  }
}

void measure(const Case& which) {
  Options options;
  options.mtu_bytes = 512;
  options.nodes = which.nodes;
  options.topology = Topology::kRing;
  Cluster cluster(options);
  Random random(42);
  Workload workload(cluster);
  std::vector<std::vector<size_t>> wanted(which.nodes);
  const uint32_t extent[4] = {1, 1, 1, which.bytes};
  for (uint8_t source = 0; source < which.nodes; ++source) {
    uint64_t all = 0;
    for (uint8_t to = 0; to < which.nodes; ++to) {
      if (!sends(which.pattern, source, to)) continue;
      all |= rank_bit(to);
      if (which.pattern == Pattern::kGather) continue;
      const size_t message = workload.add_message(source, rank_bit(to), extent, 1, random, true);
      workload.send(message);
      wanted[to].push_back(message);
    }
    if (which.pattern != Pattern::kGather) continue;
    const size_t message = workload.add_message(source, all, extent, 1, random, true);
    workload.send(message);
    for (uint8_t to = 0; to < which.nodes; ++to) {
      if (to != source) wanted[to].push_back(message);
    }
  }
  for (uint8_t to = 0; to < which.nodes; ++to) {
    if (!wanted[to].empty()) workload.recv(to, wanted[to]);
  }
  EXPECT(cluster.run_until_ready(5'000'000));
  const LinkCounters before = cluster.total_counters();
  const uint64_t start_us = cluster.clock().elapsed_us();
  EXPECT(workload.run(1, 120'000'000));
  EXPECT(workload.exact());
  const LinkCounters after = cluster.total_counters();
  std::printf("MEASURED %s %d nodes %u bytes: %llu us, %u frames, %u wire bytes\n", which.name,
              which.nodes, which.bytes,
              static_cast<unsigned long long>(cluster.clock().elapsed_us() - start_us),
              after.frames_sent - before.frames_sent, after.bytes_sent - before.bytes_sent);
}

}  // namespace

TEST(patterns_of_collectives) {
  const Case cases[] = {
      {Pattern::kHalo, "halo", 8, 896},       {Pattern::kUp, "up", 8, 1792},
      {Pattern::kGather, "gather", 4, 20000}, {Pattern::kGather, "gather", 5, 20000},
      {Pattern::kGather, "gather", 8, 980},   {Pattern::kGather, "gather", 8, 20000},
      {Pattern::kScatter, "scatter", 4, 10000}, {Pattern::kScatter, "scatter", 8, 3920},
      {Pattern::kScatter, "scatter", 8, 9408},
  };
  for (const Case& which : cases) measure(which);
}
