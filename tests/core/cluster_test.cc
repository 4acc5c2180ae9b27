// SPDX-License-Identifier: Apache-2.0
// Whole clusters: random schedules over every topology, with and without faults, byte for byte.
#include "check.h"
#include "workload.h"

namespace {

using namespace sim;

Faults some_faults() {
  Faults faults;
  faults.flip = 2e-5;
  faults.drop = 2e-5;
  faults.duplicate = 5e-6;
  faults.garbage = 1e-5;
  faults.stall = 1e-5;
  return faults;
}

void run_random(Topology topology, uint8_t nodes, uint64_t seed, const Faults& faults,
                uint8_t rx_slots, uint8_t tx_slots) {
  Options options;
  options.topology = topology;
  options.nodes = nodes;
  options.seed = seed;
  options.faults = faults;
  options.rx_slots = rx_slots;
  options.tx_slots = tx_slots;
  Cluster cluster(options);
  Random random(seed);
  Workload workload(cluster);
  workload.add_random(6, 2500, 8000, random);
  const bool ready = cluster.run_until_ready(3'000'000);
  const bool ran = ready && workload.run(7, 60'000'000);
  const bool good = ran && workload.exact();
  if (!good) {
    std::printf("%s of %d, seed %llu: ready %d ran %d exact %d\n", name(topology), nodes,
                static_cast<unsigned long long>(seed), ready, ran, workload.exact());
    for (uint8_t rank = 0; rank < nodes; ++rank) {
      char text[120];
      format_error(cluster.node(rank).communicator().error(), text, sizeof(text));
      std::printf("  rank %d: %s\n", rank, text);
    }
  }
  EXPECT(good);
  EXPECT_EQ(cluster.total_counters().over_credit, 0u);
  EXPECT_EQ(cluster.total_counters().dropped, 0u);
}

}  // namespace

TEST(random_schedules_without_faults) {
  for (uint8_t nodes = 2; nodes <= 8; ++nodes) {
    run_random(Topology::kRing, nodes, nodes, Faults{}, 4, 4);
    run_random(Topology::kLine, nodes, nodes, Faults{}, 4, 4);
    run_random(Topology::kStar, nodes, nodes, Faults{}, 4, 4);
  }
}

TEST(random_schedules_with_faults) {
  for (uint8_t nodes = 2; nodes <= 8; ++nodes) {
    run_random(Topology::kRing, nodes, 10u + nodes, some_faults(), 4, 4);
    run_random(Topology::kLine, nodes, 20u + nodes, some_faults(), 4, 4);
    run_random(Topology::kStar, nodes, 30u + nodes, some_faults(), 3, 4);
  }
}

// The least that the routing proof allows: two transit slots a link, one slot for our own frames.
TEST(random_schedules_with_the_smallest_buffers) {
  for (uint8_t nodes = 3; nodes <= 8; ++nodes) {
    run_random(Topology::kRing, nodes, 40u + nodes, Faults{}, 2, 1);
    run_random(Topology::kRing, nodes, 50u + nodes, some_faults(), 2, 1);
    run_random(Topology::kLine, nodes, 60u + nodes, some_faults(), 2, 1);
    run_random(Topology::kStar, nodes, 70u + nodes, some_faults(), 2, 1);
  }
}
