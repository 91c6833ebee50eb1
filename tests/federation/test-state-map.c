#include "federation/state-map.h"

#include <string.h>

static GArray *
entries_of (const CmStateEntry *entries, gsize count)
{
  GArray *array = g_array_new (FALSE, FALSE, sizeof *entries);
  g_array_append_vals (array, entries, (guint) count);
  return array;
}

#define ENTRIES(...)                                                                               \
  entries_of ((const CmStateEntry[]){ __VA_ARGS__ },                                               \
              sizeof ((const CmStateEntry[]){ __VA_ARGS__ }) / sizeof (CmStateEntry))

static void
assert_entries (const CmStateEntry *actual, gsize count, GArray *expected)
{
  g_assert_cmpmem (actual, count * sizeof *actual, expected->data,
                   expected->len * sizeof (CmStateEntry));
  g_array_unref (expected);
}

static void
test_order (void)
{
  g_autoptr (CmStateMap) map =
      cm_state_map_new (ENTRIES ({ 2, 1, 10 }, { 1, 9, 11 }, { 2, 1, 12 }, { 1, 2, 13 }));

  assert_entries (cm_state_map_entries (map), cm_state_map_size (map),
                  ENTRIES ({ 1, 2, 13 }, { 1, 9, 11 }, { 2, 1, 12 }));
  g_assert_cmpint (cm_state_map_get (map, 2, 1), ==, 12);
  g_assert_cmpint (cm_state_map_get (map, 1, 9), ==, 11);
  g_assert_cmpint (cm_state_map_get (map, 1, 3), ==, 0);
  g_assert_cmpint (cm_state_map_get (map, 3, 0), ==, 0);
}

static void
test_empty (void)
{
  g_autoptr (CmStateMap) map = cm_state_map_new_empty ();
  g_autoptr (CmStateMap) one = cm_state_map_with (map, 1, 2, 3);
  gsize count;

  g_assert_cmpuint (cm_state_map_size (map), ==, 0);
  g_assert_cmpint (cm_state_map_get (map, 0, 0), ==, 0);
  cm_state_map_of_type (map, 1, &count);
  g_assert_cmpuint (count, ==, 0);
  g_assert_cmpint (cm_state_map_get (one, 1, 2), ==, 3);
  g_assert_false (cm_state_map_equal (map, one));
}

static void
test_of_type (void)
{
  g_autoptr (CmStateMap) map = cm_state_map_new (
      ENTRIES ({ 1, 1, 1 }, { 7, 1, 2 }, { 7, G_MAXUINT32, 3 }, { G_MAXUINT32, 5, 4 }));
  gsize count;

  assert_entries (cm_state_map_of_type (map, 7, &count), 2,
                  ENTRIES ({ 7, 1, 2 }, { 7, G_MAXUINT32, 3 }));
  g_assert_cmpuint (count, ==, 2);
  g_assert_cmpint (cm_state_map_of_type (map, G_MAXUINT32, &count)->event, ==, 4);
  g_assert_cmpuint (count, ==, 1);
  cm_state_map_of_type (map, 2, &count);
  g_assert_cmpuint (count, ==, 0);
}

static void
test_update (void)
{
  g_autoptr (CmStateMap) map = cm_state_map_new (ENTRIES ({ 1, 1, 1 }, { 2, 2, 2 }, { 3, 3, 3 }));
  g_autoptr (CmStateMap) changed = cm_state_map_update (
      map, ENTRIES ({ 9, 9, 9 }, { 2, 2, 22 }, { 1, 1, 0 }, { 0, 1, 5 }, { 4, 4, 0 }));

  assert_entries (cm_state_map_entries (changed), cm_state_map_size (changed),
                  ENTRIES ({ 0, 1, 5 }, { 2, 2, 22 }, { 3, 3, 3 }, { 9, 9, 9 }));
  g_assert_cmpuint (cm_state_map_size (map), ==, 3);
}

/* Two maps of many entries, alike but for few: against a comparison key by key. */
static void
test_diff (void)
{
  for (guint seed = 0; seed < 50; seed++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    GArray *a = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
    GArray *b = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
    g_autoptr (GArray) expected = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
    gboolean lacking = FALSE, removed;

    for (guint32 key = 0; key < 1000; key++) {
      CmStateEntry in_a = { key / 300, key % 300, g_rand_int_range (rand, 1, 1000) };
      CmStateEntry in_b = in_a;
      gint what = g_rand_int_range (rand, 0, 200);
      if (what == 0)
        in_b.event += 1;
      if (what != 1)
        g_array_append_val (a, in_a);
      if (what != 2)
        g_array_append_val (b, in_b);
      if (what == 0 || what == 1)
        g_array_append_val (expected, in_b);
      lacking |= what == 2;
    }
    g_autoptr (CmStateMap) from = cm_state_map_new (a);
    g_autoptr (CmStateMap) to = cm_state_map_new (b);
    g_autoptr (GArray) diff = cm_state_map_diff (from, to, &removed);
    assert_entries ((CmStateEntry *) (gpointer) diff->data, diff->len, g_array_ref (expected));
    g_assert_cmpint (removed, ==, lacking);
    g_assert_cmpint (cm_state_map_equal (from, to), ==, diff->len == 0 && !lacking);
  }
}

static void
test_pack (void)
{
  g_autoptr (CmStateMap) map = cm_state_map_new (ENTRIES ({ 1, 2, 3 }, { 0x01020304, 5, -6 }));
  g_autoptr (GBytes) packed =
      cm_state_entries_pack (cm_state_map_entries (map), cm_state_map_size (map));
  g_autoptr (GBytes) cut = g_bytes_new_from_bytes (packed, 0, 31);
  g_autoptr (GArray) read = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
  static const guint8 expected[] = { 1, 0, 0,    0,    2,    0,    0,    0,    3,    0,   0,
                                     0, 0, 0,    0,    0,    4,    3,    2,    1,    5,   0,
                                     0, 0, 0xfa, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

  g_assert_cmpmem (g_bytes_get_data (packed, NULL), g_bytes_get_size (packed), expected, 32);
  g_assert_true (cm_state_entries_unpack (packed, read));
  assert_entries ((CmStateEntry *) (gpointer) read->data, read->len,
                  ENTRIES ({ 1, 2, 3 }, { 0x01020304, 5, -6 }));
  g_assert_false (cm_state_entries_unpack (cut, read));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/state-map/order", test_order);
  g_test_add_func ("/state-map/empty", test_empty);
  g_test_add_func ("/state-map/of-type", test_of_type);
  g_test_add_func ("/state-map/update", test_update);
  g_test_add_func ("/state-map/diff", test_diff);
  g_test_add_func ("/state-map/pack", test_pack);
  return g_test_run ();
}
