/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hashed timing wheel over one timer of the clock. An entry stays in the slot of the deadline that it had when it was linked; one
 * that was moved to later is moved to its slot when that one comes up. That makes the usual case, a retransmission time-out pushed
 * further by each acknowledgement, a single store.
 */
#include <kl/clock.h>
#include <kl/net.h>

#define SLOT_NS (2 * KL_NS_PER_MS)
#define SLOTS 256u
#define IDLE_NS (3600 * KL_NS_PER_S)

static struct {
	struct kl_list slots[SLOTS];
	uint64_t earliest_ns[SLOTS]; /* no entry of the slot is due before */
	struct kl_timer clock;
	uint64_t armed_ns; /* what the clock's timer is set to; KL_FOREVER: not set */
	bool ready, running;
} wheel;

static void wheel_run(struct kl_timer *timer);

static void wheel_init(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		kl_list_init(&wheel.slots[i]);
		wheel.earliest_ns[i] = KL_FOREVER;
	}
	wheel.clock.fn = wheel_run;
	wheel.armed_ns = KL_FOREVER;
	wheel.ready = true;
}

/* The clock keeps a place for this timer because it is always set: that can fail at start only, and is tried again then. */
static void wheel_arm(uint64_t deadline_ns)
{
	if (kl_timer_set(&wheel.clock, deadline_ns) == 0)
		wheel.armed_ns = deadline_ns;
}

static void insert(struct kl_net_timer *timer)
{
	unsigned slot = (unsigned)(timer->deadline_ns / SLOT_NS % SLOTS);

	kl_list_push_back(&wheel.slots[slot], &timer->link);
	if (timer->deadline_ns < wheel.earliest_ns[slot])
		wheel.earliest_ns[slot] = timer->deadline_ns;
}

void kl_net_timer_set(struct kl_net_timer *timer, uint64_t deadline_ns)
{
	if (!wheel.ready)
		wheel_init();
	if (kl_net_timer_is_set(timer)) {
		if (deadline_ns >= timer->deadline_ns) {
			timer->deadline_ns = deadline_ns;
			return;
		}
		kl_list_remove(&timer->link);
	}
	timer->deadline_ns = deadline_ns;
	insert(timer);
	if (!wheel.running && deadline_ns < wheel.armed_ns)
		wheel_arm(deadline_ns);
}

void kl_net_timer_cancel(struct kl_net_timer *timer)
{
	kl_list_remove(&timer->link);
}

static void slot_run(unsigned slot, uint64_t now)
{
	struct kl_list due;
	struct kl_list *link;

	/* Entries may set and cancel each other while they run: take them out one by one. */
	kl_list_init(&due);
	while ((link = kl_list_pop_front(&wheel.slots[slot])) != NULL)
		kl_list_push_back(&due, link);
	wheel.earliest_ns[slot] = KL_FOREVER;
	while ((link = kl_list_pop_front(&due)) != NULL) {
		struct kl_net_timer *timer = KL_LIST_ENTRY(link, struct kl_net_timer, link);

		if (timer->deadline_ns > now)
			insert(timer);
		else
			timer->fn(timer);
	}
}

static void wheel_run(struct kl_timer *timer)
{
	uint64_t now = kl_clock_ns(), next = KL_FOREVER;

	(void)timer;
	wheel.armed_ns = KL_FOREVER;
	wheel.running = true;
	for (unsigned i = 0; i < SLOTS; i++) {
		if (wheel.earliest_ns[i] <= now)
			slot_run(i, now);
	}
	wheel.running = false;
	for (unsigned i = 0; i < SLOTS; i++)
		next = KL_MIN(next, wheel.earliest_ns[i]);
	wheel_arm(next == KL_FOREVER ? now + IDLE_NS : KL_MAX(next, now + SLOT_NS / 2));
}
