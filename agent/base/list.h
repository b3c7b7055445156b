/* list - intrusive, doubly linked, with a head that is a link itself. */
#ifndef DIF_BASE_LIST_H
#define DIF_BASE_LIST_H

#include <difusor/plugin.h>

struct dif_link {
	struct dif_link *prev, *next;
};

#define DIF_ENTRY(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void dif_list_init(struct dif_link *head)
{
	head->prev = head->next = head;
}

static inline bool dif_list_empty(const struct dif_link *head)
{
	return head->next == head;
}

static inline void dif_list_add(struct dif_link *head, struct dif_link *l) /* at the tail */
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void dif_list_push(struct dif_link *head, struct dif_link *l) /* at the front */
{
	dif_list_add(head->next, l);
}

static inline void dif_list_remove(struct dif_link *l) /* safe to repeat */
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = l;
}

#endif
