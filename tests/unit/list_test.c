#include "support.h"

#include "base/list.h"

struct item {
	int value;
	struct dif_link link;
};

TEST(order_and_removal)
{
	UNUSED_STATE;
	struct dif_link head;
	struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 0}};
	dif_list_init(&head);
	assert_true(dif_list_empty(&head));
	dif_list_add(&head, &items[0].link);
	dif_list_add(&head, &items[1].link);
	dif_list_push(&head, &items[2].link);
	int next = 0;
	for (struct dif_link *l = head.next; l != &head; l = l->next) {
		assert_int_equal(DIF_ENTRY(l, struct item, link)->value, next++);
	}
	assert_int_equal(next, 3);
	dif_list_remove(&items[0].link);
	dif_list_remove(&items[0].link); /* safe to repeat */
	assert_ptr_equal(head.next, &items[2].link);
	assert_ptr_equal(head.prev, &items[1].link);
	dif_list_remove(&items[1].link);
	dif_list_remove(&items[2].link);
	assert_true(dif_list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_and_removal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
