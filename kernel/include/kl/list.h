/* SPDX-License-Identifier: Apache-2.0 */
/* Circular doubly linked lists with the link inside the element. Not initialised: all zero; an unlinked element: both NULL. */
#ifndef KL_LIST_H
#define KL_LIST_H

#include <kl/types.h>

struct kl_list {
	struct kl_list *next, *prev;
};

#define KL_LIST_INIT(head)                                                                                             \
	{                                                                                                              \
		&(head), &(head)                                                                                       \
	}

static inline void kl_list_init(struct kl_list *head)
{
	head->next = head->prev = head;
}

static inline bool kl_list_empty(const struct kl_list *head)
{
	return head->next == head;
}

/* Whether the element is in some list. */
static inline bool kl_list_linked(const struct kl_list *link)
{
	return link->next != NULL;
}

static inline void kl_list_insert_(struct kl_list *link, struct kl_list *prev, struct kl_list *next)
{
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

static inline void kl_list_push_back(struct kl_list *head, struct kl_list *link)
{
	kl_list_insert_(link, head->prev, head);
}

static inline void kl_list_push_front(struct kl_list *head, struct kl_list *link)
{
	kl_list_insert_(link, head, head->next);
}

/* No effect on an element that is in no list. */
static inline void kl_list_remove(struct kl_list *link)
{
	if (link->next == NULL)
		return;
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->next = link->prev = NULL;
}

static inline struct kl_list *kl_list_pop_front(struct kl_list *head)
{
	struct kl_list *link = head->next;

	if (link == head)
		return NULL;
	kl_list_remove(link);
	return link;
}

#define KL_LIST_ENTRY(link, type, member) KL_CONTAINER(link, type, member)
#define KL_LIST_FIRST(head, type, member) KL_CONTAINER((head)->next, type, member)
#define KL_LIST_FOR(pos, head) for (struct kl_list *pos = (head)->next; pos != (head); pos = pos->next)
/* The body may remove pos. */
#define KL_LIST_FOR_SAFE(pos, head)                                                                                    \
	for (struct kl_list *pos = (head)->next, *pos##_next = pos->next; pos != (head);                               \
		pos = pos##_next, pos##_next = pos->next)

#endif
