// SPDX-License-Identifier: GPL-2.0-only
/* One thread: what it does next is a matter of chance. */
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "stress.h"

/* Lay an object down for another thread, with its mappings, and take what lies there. */
static void exchange(struct stress *st, struct rnd_state *rnd, struct stress_object **obj)
{
	struct stress_object **slot = &st->exchange[below(rnd, STRESS_EXCHANGE)];

	spin_lock(&st->lock);
	swap(*slot, *obj);
	spin_unlock(&st->lock);
	if (*obj)
		event(st, STRESS_EXCHANGED);
}

static void step(struct stress_thread *thread)
{
	struct stress_object **obj = &thread->objects[below(&thread->rnd, STRESS_OBJECTS)];
	struct rnd_state *rnd = &thread->rnd;
	struct stress *st = thread->st;

	if (!*obj) {
		*obj = stress_alloc(st, rnd);
		return;
	}

	switch (below(rnd, 16)) {
	case 0 ... 5:
		stress_map(st, rnd, *obj);
		break;
	case 6 ... 10:
		stress_unmap(st, rnd, *obj);
		break;
	case 11:
		stress_map_over(st, rnd, *obj);
		break;
	case 12:
		exchange(st, rnd, obj);
		break;
	case 13 ... 14:
		stress_free_single(st, rnd, *obj);
		break;
	default:
		stress_free(st, rnd, *obj);
		*obj = NULL;
		break;
	}
}

int stress_thread(void *data)
{
	struct stress_thread *thread = data;
	int i;

	while (!kthread_should_stop()) {
		step(thread);
		atomic_long_inc(&thread->st->steps);
		stress_plant_due(thread->st);
		cond_resched();
	}

	for (i = 0; i < STRESS_OBJECTS; i++)
		if (thread->objects[i])
			stress_free(thread->st, &thread->rnd, thread->objects[i]);
	return 0;
}
