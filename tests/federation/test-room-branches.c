/* Rooms in which another server makes branch upon branch (class fed-dos-extremities). */
#include "federation/room-write.h"

#include "tests/federation/fixture.h"
#include "tests/federation/live-room.h"

#include <string.h>

#define EVE     "@eve:third.example"
#define MOST    10 /* branches of a room, or of a server's where nobody here may join them */
#define FLOOD   100
#define DUMMIES "event WHERE type = (SELECT id FROM sym WHERE text = 'org.matrix.dummy_event')"

static TestCluster *cluster;

static void
set_up (LiveRoom *fixture, gconstpointer version)
{
  live_room_init_shared (fixture, cluster, version);
}

static void
tear_down (LiveRoom *fixture, gconstpointer data)
{
  live_room_clear (fixture);
}

static guint
count_branches (LiveRoom *fixture)
{
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  return view->extremities->len;
}

/* Topics of Carol's that all stand on the room as it is now, each later than the one before. */
static GPtrArray *
make_flood (LiveRoom *fixture, guint count)
{
  GPtrArray *events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  for (guint i = 0; i < count; i++) {
    g_autofree char *content = g_strdup_printf ("{'topic':'%u'}", i);
    g_autofree char *changes = g_strdup_printf ("{'origin_server_ts':%u}", 1000 + i);
    g_ptr_array_add (events, engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.topic",
                                             "", content, changes));
  }
  return events;
}

/* All that say something are in, few branches are left, and the state is what the graph says: the
 * latest topic won, though it came first. */
static void
test_joined (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) events = make_flood (fixture, FLOOD);
  for (guint i = events->len; i > 0; i--) {
    live_room_assert_received (fixture, events->pdata[i - 1], CM_VERDICT_ACCEPTED);
    g_assert_cmpuint (count_branches (fixture), <=, MOST);
  }
  g_autofree char *topic = live_room_topic (fixture);
  g_assert_cmpstr (topic, ==, "99");
  live_room_assert_tables_agree (fixture);
  for (guint i = 0; i < events->len; i++)
    g_assert_cmpint (((CmEvent *) events->pdata[i])->position, >, 0);
  /* As much is written as there is to join, seen by nobody, and told to nobody. */
  gint64 dummies = live_room_count (fixture, DUMMIES);
  g_assert_cmpint (dummies, >=, FLOOD / MOST);
  g_assert_cmpint (dummies, <=, FLOOD / (MOST - 2));
  g_assert_cmpint (live_room_count (fixture, DUMMIES " AND position IS NOT NULL"), ==, 0);
  g_autofree char *told = engine_told ();
  g_assert_cmpstr (told, ==, "");
  live_room_restart (fixture);
  g_autofree char *reloaded = live_room_topic (fixture);
  g_assert_cmpstr (reloaded, ==, "99");
  g_autoptr (CmEvent) next = live_room_say (fixture, ALICE, "hello");
  g_assert_cmpuint (count_branches (fixture), ==, 1);
}

/* All in one write, as a transaction brings them. */
static void
test_joined_in_one_write (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) events = make_flood (fixture, FLOOD);
  CmVerdict verdict;
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    for (guint i = 0; i < events->len; i++) {
      g_assert_true (cm_room_write_live (write, events->pdata[i], NULL, 0, &verdict, &error));
      g_assert_cmpint (verdict, ==, CM_VERDICT_ACCEPTED);
      g_assert_cmpuint (cm_room_write_view (write)->extremities->len, <=, MOST);
    }
    g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  }
  g_autofree char *topic = live_room_topic (fixture);
  g_assert_cmpstr (topic, ==, "99");
  live_room_assert_tables_agree (fixture);
}

/* A ban on one branch holds, however many others there are that know nothing of it. */
static void
test_bans_hold (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) late = live_room_foreign_say (fixture, CAROL);
  g_autoptr (GPtrArray) events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  engine_member (fixture->room, DAVE, DAVE, "join");
  for (guint i = 0; i < FLOOD; i++) {
    g_autofree char *content = g_strdup_printf ("{'topic':'%u'}", i);
    g_ptr_array_add (events, live_room_foreign (fixture, DAVE, "m.room.topic", "", content));
  }
  engine_member (fixture->room, ALICE, CAROL, "ban");
  for (guint i = 0; i < events->len; i++)
    live_room_assert_received (fixture, events->pdata[i], CM_VERDICT_ACCEPTED);
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_cmpint (cm_room_membership (view, CAROL), ==, CM_MEMBERSHIP_BAN);
  live_room_assert_received (fixture, late, CM_VERDICT_SOFT_FAILED);
  live_room_assert_tables_agree (fixture);
}

static CmEvent *
foreign_on (LiveRoom *fixture, const CmEvent *prev, const char *sender)
{
  g_autofree char *changes = g_strdup_printf ("{'prev_events':['%s']}", prev->event_id);
  return engine_foreign (fixture->engine, fixture->room, sender, "m.room.message", NULL, "{}",
                         changes);
}

/* Where nobody here may join branches, each server has its share and keeps to its own. */
static void
test_shares (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) power =
      engine_send (fixture->room, ALICE, "m.room.power_levels", "",
                   "{'events':{'m.room.topic':0,'org.matrix.dummy_event':100},"
                   "'users':{'@alice:here.example':50}}");
  engine_member (fixture->room, EVE, EVE, "join");
  g_autoptr (GPtrArray) events = make_flood (fixture, 3 * MOST);
  g_autoptr (CmEvent) other = live_room_foreign_say (fixture, EVE);
  for (guint i = 0; i < events->len; i++)
    live_room_assert_received (fixture, events->pdata[i],
                               i < MOST ? CM_VERDICT_ACCEPTED : CM_VERDICT_SOFT_FAILED);
  g_assert_cmpuint (count_branches (fixture), ==, MOST);
  live_room_assert_received (fixture, other, CM_VERDICT_ACCEPTED);
  g_assert_cmpuint (count_branches (fixture), ==, MOST + 1);
  /* What stands on a branch is none more; and who has been put aside comes back by the next event
   * that stands on both. */
  g_autoptr (CmEvent) on_own = foreign_on (fixture, events->pdata[3], CAROL);
  live_room_assert_received (fixture, on_own, CM_VERDICT_ACCEPTED);
  g_autofree char *changes =
      g_strdup_printf ("{'prev_events':['%s','%s']}", on_own->event_id,
                       ((CmEvent *) events->pdata[events->len - 1])->event_id);
  g_autoptr (CmEvent) on_both =
      engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.message", NULL, "{}", changes);
  live_room_assert_received (fixture, on_both, CM_VERDICT_ACCEPTED);
  g_autofree char *topic = live_room_topic (fixture);
  g_assert_cmpstr (topic, ==, "29");
  g_assert_cmpint (live_room_count (fixture, DUMMIES), ==, 0);
  g_autoptr (CmEvent) ours = live_room_say (fixture, ALICE, "hello");
  g_assert_cmpuint (count_branches (fixture), ==, 1);
  live_room_assert_tables_agree (fixture);
}

/* More branches than an event may name, by servers that each keep to their share. */
static void
test_more_than_can_be_named (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  g_autoptr (CmEvent) power =
      engine_send (fixture->room, ALICE, "m.room.power_levels", "",
                   "{'events':{'org.matrix.dummy_event':100},'users':{'@alice:here.example':50}}");
  const char *users[] = { CAROL, "@a:a.example", "@b:b.example", "@c:c.example" };
  for (guint i = 1; i < G_N_ELEMENTS (users); i++)
    engine_member (fixture->room, users[i], users[i], "join");
  for (guint i = 0; i < 25; i++) {
    g_autofree char *content = g_strdup_printf ("{'n':%u}", i);
    g_ptr_array_add (events, live_room_foreign (fixture, users[i % G_N_ELEMENTS (users)],
                                                "m.room.message", NULL, content));
  }
  for (guint i = 0; i < events->len; i++)
    live_room_assert_received (fixture, events->pdata[i], CM_VERDICT_ACCEPTED);
  g_assert_cmpuint (count_branches (fixture), ==, 25);
  g_autoptr (CmEvent) first = live_room_say (fixture, ALICE, "hello"),
                      second = live_room_say (fixture, ALICE, "hello");
  g_assert_cmpuint (cm_json_length (cm_json_get_array (first->json, "prev_events")), ==,
                    CM_EVENT_MAX_PREV_EVENTS);
  g_assert_cmpuint (cm_json_length (cm_json_get_array (second->json, "prev_events")), ==, 6);
  g_assert_cmpuint (count_branches (fixture), ==, 1);
}

/* An event that another server ties branches together with is in the graph, and nowhere else. */
static void
test_of_another_server (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) dummy =
      live_room_foreign (fixture, CAROL, "org.matrix.dummy_event", NULL, "{}");
  live_room_assert_received (fixture, dummy, CM_VERDICT_ACCEPTED);
  g_assert_true (live_room_is_extremity (fixture, dummy));
  g_assert_cmpint (dummy->position, ==, 0);
  g_assert_cmpint (live_room_count (fixture, DUMMIES " AND position IS NULL"), ==, 1);
}

/* What a fork once came to is not remembered for ever. */
static void
test_memory (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) events = make_flood (fixture, 2);
  for (guint i = 0; i < events->len; i++)
    live_room_assert_received (fixture, events->pdata[i], CM_VERDICT_ACCEPTED);
  g_autoptr (CmEvent) first = live_room_foreign_say (fixture, CAROL);
  g_autoptr (CmEvent) again = live_room_foreign (fixture, CAROL, "m.room.message", NULL, "{'n':2}");
  g_autoptr (GPtrArray) flood = make_flood (fixture, FLOOD);
  live_room_assert_received (fixture, first, CM_VERDICT_ACCEPTED);
  for (guint i = 0; i < flood->len; i++)
    live_room_assert_received (fixture, flood->pdata[i], CM_VERDICT_ACCEPTED);
  live_room_assert_received (fixture, again, CM_VERDICT_ACCEPTED);
  g_assert_cmpint (again->state_before, !=, first->state_before);
}

static void
assert_deputy (LiveRoom *fixture, gint64 level, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autofree char *deputy = cm_room_find_deputy (view, level, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (deputy, ==, expected);
}

static void
test_deputy (LiveRoom *fixture, gconstpointer data)
{
  assert_deputy (fixture, 100, ALICE);
  assert_deputy (fixture, 101, NULL);
  engine_member (fixture->room, BOB, BOB, "join");
  g_autoptr (CmEvent) power = engine_send (
      fixture->room, ALICE, "m.room.power_levels", "",
      "{'users':{'@alice:here.example':100,'@bob:here.example':50,'@carol:there.example':100}}");
  engine_member (fixture->room, ALICE, ALICE, "leave");
  assert_deputy (fixture, 50, BOB);
  assert_deputy (fixture, 51, NULL);
  engine_member (fixture->room, BOB, BOB, "leave");
  assert_deputy (fixture, 0, NULL);
  engine_member (fixture->room, "@erin:here.example", "@erin:here.example", "join");
  assert_deputy (fixture, 0, "@erin:here.example");
  assert_deputy (fixture, 1, NULL);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, version, func)                                                                   \
  g_test_add ("/room-branches/" path "/" version, LiveRoom, version, set_up, func, tear_down)
  ADD ("fed-dos-extremities/joined", "11", test_joined);
  ADD ("fed-dos-extremities/joined", "12", test_joined);
  ADD ("fed-dos-extremities/one-write", "11", test_joined_in_one_write);
  ADD ("fed-dos-extremities/bans", "11", test_bans_hold);
  ADD ("fed-dos-extremities/bans", "12", test_bans_hold);
  ADD ("fed-dos-extremities/shares", "11", test_shares);
  ADD ("fed-dos-extremities/memory", "11", test_memory);
  ADD ("many", "11", test_more_than_can_be_named);
  ADD ("of-another-server", "11", test_of_another_server);
  ADD ("deputy", "11", test_deputy);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
