/* SPDX-License-Identifier: Apache-2.0 */
/* pthreads(7): mutexes, conditions, local storage, cancellation; floating point and preemption across threads. */
#include "check.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 20000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counter;
static __thread int local = 7;

static void *count(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
	}
	local += (int)(long)arg;
	return (void *)(long)local;
}

static void counting(void)
{
	pthread_t t[THREADS];
	long sum = 0;

	for (long i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, count, (void *)i);
	for (int i = 0; i < THREADS; i++) {
		void *r;

		pthread_join(t[i], &r);
		sum += (long)r;
	}
	SHOW(counter);
	SHOW(sum);
	SHOW(local);
}

static int turn;

static void *ping_pong(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != me)
			pthread_cond_wait(&cond, &mutex);
		turn = !me;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void conditions(void)
{
	struct timespec ts;
	pthread_t t;

	pthread_create(&t, NULL, ping_pong, (void *)1);
	ping_pong((void *)0);
	pthread_join(t, NULL);
	SHOW(turn);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 20000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&mutex);
	HOLDS(pthread_cond_timedwait(&cond, &mutex, &ts) == ETIMEDOUT);
	pthread_mutex_unlock(&mutex);
}

static atomic_int stop;
static volatile double product = 1;

/* Never makes a system call: only preemption lets the others run. */
static void *spin(void *arg)
{
	double x = 1.000000001, y = 1;

	(void)arg;
	while (!atomic_load(&stop))
		y = y * x > 2 ? 1 : y * x;
	product = y;
	return NULL;
}

static void *floating(void *arg)
{
	double x = (double)(long)arg, sum = 0;

	for (int i = 0; i < 300000; i++) {
		sum += x / 3;
		if (i % 50000 == 0)
			usleep(100);
	}
	return (void *)(long)(sum * 1000);
}

static void preemption(void)
{
	pthread_t spinner, t[3];

	pthread_create(&spinner, NULL, spin, NULL);
	for (long i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, floating, (void *)(i + 1));
	for (int i = 0; i < 3; i++) {
		void *r;

		pthread_join(t[i], &r);
		SHOW((long)r);
	}
	atomic_store(&stop, 1);
	pthread_join(spinner, NULL);
	HOLDS(product >= 1);
}

static sem_t sem;
static pthread_key_t key;
static atomic_int destroyed;

static void destroy(void *p)
{
	atomic_fetch_add(&destroyed, (int)(long)p);
}

static void *wait_for_ever(void *arg)
{
	pthread_setspecific(key, arg);
	sem_post(&sem);
	for (;;)
		pause();
	return NULL;
}

static void *hold_and_die(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

static void endings(void)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t robust;
	pthread_t t;
	void *r;

	sem_init(&sem, 0, 0);
	pthread_key_create(&key, destroy);
	pthread_create(&t, NULL, wait_for_ever, (void *)5);
	sem_wait(&sem);
	pthread_cancel(t);
	pthread_join(t, &r);
	HOLDS(r == PTHREAD_CANCELED);
	SHOW(atomic_load(&destroyed));

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attr);
	pthread_create(&t, NULL, hold_and_die, &robust);
	pthread_join(t, NULL);
	HOLDS(pthread_mutex_lock(&robust) == EOWNERDEAD);
	SHOW(pthread_mutex_consistent(&robust));
	SHOW(pthread_mutex_unlock(&robust));
	HOLDS(pthread_mutex_trylock(&robust) == 0);
	HOLDS(sem_trywait(&sem) == -1 && errno == EAGAIN);
}

static void *nothing(void *arg)
{
	return arg;
}

static void many(void)
{
	long sum = 0;

	for (long i = 0; i < 500; i++) {
		pthread_t t;
		void *r;

		if (pthread_create(&t, NULL, nothing, (void *)i) != 0)
			break;
		pthread_join(t, &r);
		sum += (long)r;
	}
	SHOW(sum);
}

int main(void)
{
	counting();
	conditions();
	preemption();
	endings();
	many();
	return 0;
}
