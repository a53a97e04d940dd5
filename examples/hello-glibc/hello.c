// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 4, ROUNDS = 25000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;
static __thread long own;

static void *count(void *argument)
{
	for (int i = 0; i < ROUNDS; i++) {
		own++;
		pthread_mutex_lock(&lock);
		total++;
		pthread_mutex_unlock(&lock);
	}
	return own == ROUNDS ? argument : NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	char marks[THREADS];
	int right = 0;

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, count, &marks[i]))
			return 1;
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		right += result == &marks[i];
	}
	printf("Hello from glibc: %d threads counted to %ld.\n", right, total);
	return total == (long)THREADS * ROUNDS ? 0 : 1;
}
