#include "federation/room-write.h"

#include "tests/federation/fixture.h"
#include "tests/federation/live-room.h"

#include <string.h>

#define EVE "@eve:third.example"

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

/* On top of @prev alone. */
static CmEvent *
foreign_on (LiveRoom *fixture, const char *prev_id, const char *sender, const char *type,
            const char *state_key, const char *content)
{
  g_autofree char *changes = g_strdup_printf ("{'prev_events':['%s']}", prev_id);
  return engine_foreign (fixture->engine, fixture->room, sender, type, state_key, content, changes);
}

static void
test_accepted (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) event = live_room_foreign_say (fixture, CAROL);
  live_room_assert_received (fixture, event, CM_VERDICT_ACCEPTED);
  g_assert_cmpint (event->position, >, 0);
  g_assert_true (live_room_is_extremity (fixture, event));
  live_room_assert_received (fixture, event, CM_VERDICT_ACCEPTED);
  engine_assert_value (fixture->engine, "1", "SELECT count (*) FROM event WHERE event_id = '%s'",
                       event->event_id);
  live_room_assert_tables_agree (fixture);
}

/* Our own events go to the others in the room; those of others do not, unless this server let them
 * in. */
static void
test_who_is_told (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) own = live_room_say (fixture, ALICE, "hello");
  g_autofree char *first = engine_told ();
  g_assert_cmpstr (first, ==, THERE);
  g_autoptr (CmEvent) theirs = live_room_foreign_say (fixture, CAROL);
  live_room_assert_received (fixture, theirs, CM_VERDICT_ACCEPTED);
  g_autofree char *second = engine_told ();
  g_assert_cmpstr (second, ==, "");

  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) join =
      live_room_foreign (fixture, EVE, "m.room.member", EVE, "{'membership':'join'}");
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
  CmVerdict verdict;
  g_assert_true (cm_room_write_live (write, join, NULL, CM_STORE_RELAY, &verdict, &error));
  g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  g_autofree char *third = engine_told ();
  g_assert_cmpstr (third, ==, THERE);

  /* Who leaves hears of it, and so does who is invited no more. */
  engine_member (fixture->room, ALICE, EVE, "leave");
  g_autofree char *fourth = engine_told ();
  g_assert_cmpstr (fourth, ==, THERE ",third.example");
  engine_member (fixture->room, ALICE, EVE, "invite");
  g_autofree char *fifth = engine_told ();
  g_assert_cmpstr (fifth, ==, THERE);
  engine_member (fixture->room, ALICE, EVE, "leave");
  g_autofree char *sixth = engine_told ();
  g_assert_cmpstr (sixth, ==, THERE ",third.example");
}

static void
test_fork (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) theirs = live_room_foreign_say (fixture, CAROL),
                      ours = live_room_say (fixture, ALICE, "hello");
  live_room_assert_received (fixture, theirs, CM_VERDICT_ACCEPTED);
  g_assert_true (live_room_is_extremity (fixture, theirs));
  g_assert_true (live_room_is_extremity (fixture, ours));
  g_autoptr (CmEvent) merge = live_room_say (fixture, ALICE, "hello");
  g_assert_cmpuint (cm_json_length (cm_json_get_array (merge->json, "prev_events")), ==, 2);
  g_assert_cmpint (merge->depth, ==, MAX (theirs->depth, ours->depth) + 1);
  g_assert_true (live_room_is_extremity (fixture, merge));
  g_assert_false (live_room_is_extremity (fixture, ours));
}

/* Two topics on two branches: one of them wins, the same before and after a restart, and everything
 * says so. */
static void
test_forked_state (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) theirs =
      live_room_foreign (fixture, CAROL, "m.room.topic", "", "{'topic':'theirs'}");
  g_autoptr (CmEvent) ours =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'ours'}");
  live_room_assert_received (fixture, theirs, CM_VERDICT_ACCEPTED);
  g_autofree char *resolved = live_room_topic (fixture);
  g_assert_nonnull (resolved);
  live_room_assert_tables_agree (fixture);
  g_autoptr (CmEvent) merge = live_room_say (fixture, ALICE, "hello"),
                      next = live_room_say (fixture, ALICE, "hello");
  g_assert_cmpint (merge->state_before, ==, next->state_before);
  g_autofree char *after = live_room_topic (fixture);
  g_assert_cmpstr (after, ==, resolved);
  live_room_restart (fixture);
  g_autofree char *reloaded = live_room_topic (fixture);
  g_assert_cmpstr (reloaded, ==, resolved);
  live_room_assert_tables_agree (fixture);
}

/* A ban on one branch, an old friend's words on the other: kept, shown to nobody, no extremity,
 * passed on to nobody. */
static void
test_soft_fail_bypass (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) before = live_room_say (fixture, ALICE, "hello"),
                      late = live_room_foreign_say (fixture, CAROL);
  engine_member (fixture->room, ALICE, CAROL, "ban");
  live_room_assert_received (fixture, late, CM_VERDICT_SOFT_FAILED);
  g_assert_false (live_room_is_extremity (fixture, late));
  g_assert_cmpint (late->position, ==, 0);
  engine_assert_value (fixture->engine, "2", "SELECT flags FROM event WHERE event_id = '%s'",
                       late->event_id);
  /* One who cites it as a parent does not bring it back. */
  engine_member (fixture->room, DAVE, DAVE, "join");
  g_autoptr (CmEvent) citing =
      foreign_on (fixture, late->event_id, DAVE, "m.room.message", NULL, "{}");
  engine_receive (fixture->room, citing);
  g_autoptr (CmEvent) still = live_room_stored (fixture, late->event_id);
  g_assert_cmpint (still->position, ==, 0);
  g_assert_cmpuint (still->flags & CM_EVENT_SOFT_FAILED, !=, 0);
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_cmpint (cm_room_membership (view, CAROL), ==, CM_MEMBERSHIP_BAN);
  /* A second time it is what it was. */
  live_room_assert_received (fixture, late, CM_VERDICT_SOFT_FAILED);
}

/* CVE-2022-39374: what was rejected stays so, takes no part in state, and authorises nothing. */
static void
test_cve_2022_39374_rejected (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) bad =
      live_room_foreign (fixture, CAROL, "m.room.name", "", "{'name':'mine'}");
  live_room_assert_received (fixture, bad, CM_VERDICT_REJECTED);
  g_assert_false (live_room_is_extremity (fixture, bad));
  g_autoptr (CmEvent) kept = live_room_stored (fixture, bad->event_id);
  g_assert_cmpint (kept->state_after, ==, kept->state_before);
  g_autoptr (CmEvent) on_it =
      foreign_on (fixture, bad->event_id, CAROL, "m.room.message", NULL, "{}");
  live_room_assert_received (fixture, on_it, CM_VERDICT_ACCEPTED);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_null (cm_room_state_event (view, "m.room.name", "", &error));
  g_assert_no_error (error);
  live_room_restart (fixture);
  g_autoptr (CmEvent) again = cm_event_parse (bad->version, bad->json, &error);
  live_room_assert_received (fixture, again, CM_VERDICT_REJECTED);
  g_autoptr (CmEvent) rejected_power = live_room_foreign (fixture, CAROL, "m.room.power_levels", "",
                                                          "{'users':{'@carol:there.example':100}}");
  live_room_assert_received (fixture, rejected_power, CM_VERDICT_REJECTED);
  g_autofree char *changes = g_strdup_printf ("{'auth_events':['%s']}", rejected_power->event_id);
  g_autoptr (CmEvent) citing = engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.name",
                                               "", "{'name':'mine'}", changes);
  live_room_assert_received (fixture, citing, CM_VERDICT_REJECTED);
}

static void
test_auth_events_of_other_room (LiveRoom *fixture, gconstpointer version)
{
  g_autoptr (CmRoom) other = engine_room (fixture->engine, version, ALICE);
  g_autoptr (CmEvent) join = engine_foreign (fixture->engine, other, CAROL, "m.room.member", CAROL,
                                             "{'membership':'join'}", NULL);
  g_assert_cmpint (engine_receive (other, join), ==, CM_VERDICT_ACCEPTED);
  g_autofree char *changes = g_strdup_printf ("{'auth_events':['%s']}", join->event_id);
  g_autoptr (CmEvent) event =
      engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.message", NULL, "{}", changes);
  live_room_assert_received (fixture, event, CM_VERDICT_REJECTED);
}

/* That an auth event could not be had is no verdict: it may come yet. */
static void
test_missing_auth (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) event =
      engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.message", NULL, "{}",
                      "{'auth_events':['$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']}");
  g_autoptr (GPtrArray) missing = NULL;
  g_assert_true (cm_rooms_link (fixture->engine->rooms, event, NULL, &missing, &error));
  g_assert_cmpuint (missing->len, ==, 1);
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_false (cm_room_write_live (write, event, NULL, 0, &verdict, &error));
    fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
    g_assert_false (cm_room_write_outlier (write, event, &verdict, &error));
    fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
  }
  engine_assert_value (fixture->engine, "0", "SELECT count (*) FROM event WHERE event_id = '%s'",
                       event->event_id);
}

/* CVE-2022-39374: an outlier is no parent: the state after it is not known. */
static void
test_cve_2022_39374_outlier_parent (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) outlier = live_room_foreign_say (fixture, CAROL);
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_true (cm_room_write_outlier (write, outlier, &verdict, &error));
    g_assert_cmpint (verdict, ==, CM_VERDICT_ACCEPTED);
    g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  }
  g_assert_false (live_room_is_extremity (fixture, outlier));
  g_autoptr (CmEvent) child =
      foreign_on (fixture, outlier->event_id, CAROL, "m.room.message", NULL, "{}");
  g_autoptr (GPtrArray) missing_prev = NULL, missing_auth = NULL;
  g_assert_true (
      cm_rooms_link (fixture->engine->rooms, child, &missing_prev, &missing_auth, &error));
  g_assert_cmpuint (missing_prev->len, ==, 1);
  g_assert_cmpstr (missing_prev->pdata[0], ==, outlier->event_id);
  g_assert_cmpuint (missing_auth->len, ==, 0);
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_false (cm_room_write_live (write, child, NULL, 0, &verdict, &error));
    fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
  }
  /* Once it has its place it is one. */
  g_autoptr (CmEvent) again = cm_event_parse (outlier->version, outlier->json, &error);
  live_room_assert_received (fixture, again, CM_VERDICT_ACCEPTED);
  g_assert_cmpint (again->number, ==, outlier->number);
  g_assert_cmpint (again->position, >, 0);
  engine_assert_value (fixture->engine, "0", "SELECT flags FROM event WHERE event_id = '%s'",
                       outlier->event_id);
  live_room_assert_received (fixture, child, CM_VERDICT_ACCEPTED);
}

/* A gap: the state before is fetched, the parent stays a backward extremity until history brings
 * it. */
static void
test_gap_and_history (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) first = live_room_foreign_say (fixture, CAROL);
  g_autoptr (CmEvent) second =
      foreign_on (fixture, first->event_id, CAROL, "m.room.message", NULL, "{'n':2}");
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_true (cm_room_write_live (write, second, view->state, 0, &verdict, &error));
    g_assert_cmpint (verdict, ==, CM_VERDICT_ACCEPTED);
    g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  }
  g_assert_true (live_room_is_extremity (fixture, second));
  engine_assert_value (fixture->engine, first->event_id, "SELECT event_id FROM missing_event");
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_true (engine_history (fixture->engine, write, first, &verdict));
    g_assert_cmpint (verdict, ==, CM_VERDICT_ACCEPTED);
    g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  }
  g_assert_cmpint (first->position, <, 0);
  g_assert_false (live_room_is_extremity (fixture, first));
  engine_assert_value (fixture->engine, NULL, "SELECT event_id FROM missing_event");
  g_autofree char *position = g_strdup_printf ("%" G_GINT64_FORMAT, first->position);
  engine_assert_value (fixture->engine, position,
                       "SELECT position FROM event WHERE event_id = '%s'", first->event_id);
  g_autoptr (CmRoomView) after = cm_room_view (fixture->room);
  g_assert_cmpint (after->state_id, ==, view->state_id);
  /* Older history has a lower position. */
  g_autoptr (CmEvent) older = live_room_foreign_say (fixture, CAROL);
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_true (engine_history (fixture->engine, write, older, &verdict));
    g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  }
  g_assert_cmpint (older->position, <, first->position);
}

/* CVE-2025-30355: an event as deep as an integer goes must not freeze the room. */
static void
test_cve_2025_30355_depth (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) deep =
      engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.message", NULL, "{}",
                      "{'depth':9007199254740991}");
  live_room_assert_received (fixture, deep, CM_VERDICT_ACCEPTED);
  g_autoptr (CmEvent) first = live_room_say (fixture, ALICE, "hello"),
                      second = live_room_say (fixture, ALICE, "hello");
  g_assert_cmpint (first->depth, ==, 9007199254740991);
  g_assert_cmpint (second->depth, ==, 9007199254740991);
}

static void
test_abandon (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) theirs =
      live_room_foreign (fixture, CAROL, "m.room.topic", "", "{'topic':'theirs'}");
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_true (cm_room_write_live (write, theirs, NULL, 0, &verdict, &error));
  }
  g_assert_null (live_room_topic (fixture));
  g_assert_null (
      cm_event_store_find (cm_rooms_events (fixture->engine->rooms), theirs->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
  g_autoptr (CmEvent) ours = live_room_say (fixture, ALICE, "hello");
  g_autoptr (CmEvent) again = cm_event_parse (theirs->version, theirs->json, &error);
  live_room_assert_received (fixture, again, CM_VERDICT_ACCEPTED);
  live_room_assert_tables_agree (fixture);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, version, func)                                                                   \
  g_test_add ("/room-write/" path "/" version, LiveRoom, version, set_up, func, tear_down)
  ADD ("accepted", "11", test_accepted);
  ADD ("accepted", "12", test_accepted);
  ADD ("who-is-told", "11", test_who_is_told);
  ADD ("fork", "11", test_fork);
  ADD ("forked-state", "10", test_forked_state);
  ADD ("forked-state", "12", test_forked_state);
  ADD ("soft-fail-bypass", "11", test_soft_fail_bypass);
  ADD ("CVE-2022-39374-rejected", "11", test_cve_2022_39374_rejected);
  ADD ("CVE-2022-39374-rejected", "12", test_cve_2022_39374_rejected);
  ADD ("event-auth-cross-room", "11", test_auth_events_of_other_room);
  ADD ("missing-auth", "11", test_missing_auth);
  ADD ("CVE-2022-39374-outlier-parent", "11", test_cve_2022_39374_outlier_parent);
  ADD ("gap-and-history", "11", test_gap_and_history);
  ADD ("CVE-2025-30355-depth", "11", test_cve_2025_30355_depth);
  ADD ("abandon", "11", test_abandon);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
