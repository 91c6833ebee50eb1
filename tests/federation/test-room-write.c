#include "federation/room-write.h"

#include "tests/federation/engine-fixture.h"
#include "tests/federation/fixture.h"

#include <string.h>

#define EVE "@eve:third.example"

static TestCluster *cluster;

typedef struct {
  Engine *engine;
  CmRoom *room;
  char *room_id;
} Fixture;

/* Alice's room with Carol of there.example in it; everybody may set the topic. */
static void
set_up (Fixture *fixture, gconstpointer version)
{
  fixture->engine = engine_new (cluster);
  fixture->room = engine_room (fixture->engine, version, ALICE);
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  fixture->room_id = g_strdup (view->room_id);
  g_autoptr (CmEvent) power =
      engine_send (fixture->room, ALICE, "m.room.power_levels", "",
                   strcmp (version, "12") == 0
                       ? "{'events':{'m.room.topic':0}}"
                       : "{'events':{'m.room.topic':0},'users':{'@alice:here.example':100}}");
  g_autoptr (CmEvent) join = engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.member",
                                             CAROL, "{'membership':'join'}", NULL);
  g_assert_cmpint (engine_receive (fixture->room, join), ==, CM_VERDICT_ACCEPTED);
  g_free (engine_told ());
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->room, cm_room_unref);
  g_free (fixture->room_id);
  engine_free (fixture->engine);
}

static void
restart (Fixture *fixture)
{
  g_clear_pointer (&fixture->room, cm_room_unref);
  engine_restart (fixture->engine);
  fixture->room = engine_get (fixture->engine, fixture->room_id);
}

static CmEvent *
foreign (Fixture *fixture, const char *sender, const char *type, const char *state_key,
         const char *content)
{
  return engine_foreign (fixture->engine, fixture->room, sender, type, state_key, content, NULL);
}

static CmEvent *
foreign_say (Fixture *fixture, const char *sender)
{
  return foreign (fixture, sender, "m.room.message", NULL, "{'body':'from afar'}");
}

/* On top of @prev alone. */
static CmEvent *
foreign_on (Fixture *fixture, const char *prev_id, const char *sender, const char *type,
            const char *state_key, const char *content)
{
  g_autofree char *changes = g_strdup_printf ("{'prev_events':['%s']}", prev_id);
  return engine_foreign (fixture->engine, fixture->room, sender, type, state_key, content, changes);
}

static CmEvent *
say (Fixture *fixture, const char *sender)
{
  return engine_send (fixture->room, sender, "m.room.message", NULL, "{'body':'hello'}");
}

static void
assert_received (Fixture *fixture, CmEvent *event, CmVerdict expected)
{
  g_assert_cmpint (engine_receive (fixture->room, event), ==, expected);
}

static CmEvent *
stored (Fixture *fixture, const char *event_id)
{
  g_autoptr (GError) error = NULL;
  CmEvent *event = cm_event_store_find (cm_rooms_events (fixture->engine->rooms), event_id, &error);
  g_assert_no_error (error);
  return event;
}

static gboolean
is_extremity (Fixture *fixture, const CmEvent *event)
{
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  for (guint i = 0; i < view->extremities->len; i++) {
    if (g_array_index (view->extremities, gint64, i) == event->number)
      return TRUE;
  }
  return FALSE;
}

static char *
topic_of (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autoptr (CmEvent) topic = cm_room_state_event (view, "m.room.topic", "", &error);
  g_assert_no_error (error);
  return topic != NULL ? g_strdup (cm_json_get_text (topic->content, "topic")) : NULL;
}

/* The tables that answer requests say what the view says. */
static void
assert_tables_agree (Fixture *fixture)
{
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autofree char *size = g_strdup_printf ("%" G_GSIZE_FORMAT, cm_state_map_size (view->state));
  engine_assert_value (fixture->engine, size,
                       "SELECT count (*) FROM current_state WHERE room = %" G_GINT64_FORMAT,
                       view->room);
  const CmStateEntry *entries = cm_state_map_entries (view->state);
  for (gsize i = 0; i < cm_state_map_size (view->state); i++) {
    g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, entries[i].event);
    engine_assert_value (fixture->engine, number,
                         "SELECT event FROM current_state WHERE type = %u AND state_key = %u",
                         entries[i].type, entries[i].state_key);
  }
  g_autofree char *joined = g_strdup_printf ("%" G_GINT64_FORMAT, view->joined);
  engine_assert_value (fixture->engine, joined,
                       "SELECT count (*) FROM member WHERE membership = 'join'");
  engine_assert_value (fixture->engine, joined, "SELECT sum (joined) FROM room_server");
}

static void
test_accepted (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) event = foreign_say (fixture, CAROL);
  assert_received (fixture, event, CM_VERDICT_ACCEPTED);
  g_assert_cmpint (event->position, >, 0);
  g_assert_true (is_extremity (fixture, event));
  assert_received (fixture, event, CM_VERDICT_ACCEPTED);
  engine_assert_value (fixture->engine, "1", "SELECT count (*) FROM event WHERE event_id = '%s'",
                       event->event_id);
  assert_tables_agree (fixture);
}

/* Our own events go to the others in the room; those of others do not, unless this server let them
 * in. */
static void
test_who_is_told (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) own = say (fixture, ALICE);
  g_autofree char *first = engine_told ();
  g_assert_cmpstr (first, ==, THERE);
  g_autoptr (CmEvent) theirs = foreign_say (fixture, CAROL);
  assert_received (fixture, theirs, CM_VERDICT_ACCEPTED);
  g_autofree char *second = engine_told ();
  g_assert_cmpstr (second, ==, "");

  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) join = foreign (fixture, EVE, "m.room.member", EVE, "{'membership':'join'}");
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
test_fork (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) theirs = foreign_say (fixture, CAROL), ours = say (fixture, ALICE);
  assert_received (fixture, theirs, CM_VERDICT_ACCEPTED);
  g_assert_true (is_extremity (fixture, theirs));
  g_assert_true (is_extremity (fixture, ours));
  g_autoptr (CmEvent) merge = say (fixture, ALICE);
  g_assert_cmpuint (cm_json_length (cm_json_get_array (merge->json, "prev_events")), ==, 2);
  g_assert_cmpint (merge->depth, ==, MAX (theirs->depth, ours->depth) + 1);
  g_assert_true (is_extremity (fixture, merge));
  g_assert_false (is_extremity (fixture, ours));
}

/* Two topics on two branches: one of them wins, the same before and after a restart, and everything
 * says so. */
static void
test_forked_state (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) theirs = foreign (fixture, CAROL, "m.room.topic", "", "{'topic':'theirs'}");
  g_autoptr (CmEvent) ours =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'ours'}");
  assert_received (fixture, theirs, CM_VERDICT_ACCEPTED);
  g_autofree char *resolved = topic_of (fixture);
  g_assert_nonnull (resolved);
  assert_tables_agree (fixture);
  g_autoptr (CmEvent) merge = say (fixture, ALICE), next = say (fixture, ALICE);
  g_assert_cmpint (merge->state_before, ==, next->state_before);
  g_autofree char *after = topic_of (fixture);
  g_assert_cmpstr (after, ==, resolved);
  restart (fixture);
  g_autofree char *reloaded = topic_of (fixture);
  g_assert_cmpstr (reloaded, ==, resolved);
  assert_tables_agree (fixture);
}

/* A ban on one branch, an old friend's words on the other: kept, shown to nobody, no extremity,
 * passed on to nobody. */
static void
test_soft_fail_bypass (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) before = say (fixture, ALICE), late = foreign_say (fixture, CAROL);
  engine_member (fixture->room, ALICE, CAROL, "ban");
  assert_received (fixture, late, CM_VERDICT_SOFT_FAILED);
  g_assert_false (is_extremity (fixture, late));
  g_assert_cmpint (late->position, ==, 0);
  engine_assert_value (fixture->engine, "2", "SELECT flags FROM event WHERE event_id = '%s'",
                       late->event_id);
  /* One who cites it as a parent does not bring it back. */
  engine_member (fixture->room, DAVE, DAVE, "join");
  g_autoptr (CmEvent) citing =
      foreign_on (fixture, late->event_id, DAVE, "m.room.message", NULL, "{}");
  engine_receive (fixture->room, citing);
  g_autoptr (CmEvent) still = stored (fixture, late->event_id);
  g_assert_cmpint (still->position, ==, 0);
  g_assert_cmpuint (still->flags & CM_EVENT_SOFT_FAILED, !=, 0);
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_cmpint (cm_room_membership (view, CAROL), ==, CM_MEMBERSHIP_BAN);
  /* A second time it is what it was. */
  assert_received (fixture, late, CM_VERDICT_SOFT_FAILED);
}

/* CVE-2022-39374: what was rejected stays so, takes no part in state, and authorises nothing. */
static void
test_cve_2022_39374_rejected (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) bad = foreign (fixture, CAROL, "m.room.name", "", "{'name':'mine'}");
  assert_received (fixture, bad, CM_VERDICT_REJECTED);
  g_assert_false (is_extremity (fixture, bad));
  g_autoptr (CmEvent) kept = stored (fixture, bad->event_id);
  g_assert_cmpint (kept->state_after, ==, kept->state_before);
  g_autoptr (CmEvent) on_it =
      foreign_on (fixture, bad->event_id, CAROL, "m.room.message", NULL, "{}");
  assert_received (fixture, on_it, CM_VERDICT_ACCEPTED);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_null (cm_room_state_event (view, "m.room.name", "", &error));
  g_assert_no_error (error);
  restart (fixture);
  g_autoptr (CmEvent) again = cm_event_parse (bad->version, bad->json, &error);
  assert_received (fixture, again, CM_VERDICT_REJECTED);
  g_autoptr (CmEvent) rejected_power =
      foreign (fixture, CAROL, "m.room.power_levels", "", "{'users':{'@carol:there.example':100}}");
  assert_received (fixture, rejected_power, CM_VERDICT_REJECTED);
  g_autofree char *changes = g_strdup_printf ("{'auth_events':['%s']}", rejected_power->event_id);
  g_autoptr (CmEvent) citing = engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.name",
                                               "", "{'name':'mine'}", changes);
  assert_received (fixture, citing, CM_VERDICT_REJECTED);
}

static void
test_auth_events_of_other_room (Fixture *fixture, gconstpointer version)
{
  g_autoptr (CmRoom) other = engine_room (fixture->engine, version, ALICE);
  g_autoptr (CmEvent) join = engine_foreign (fixture->engine, other, CAROL, "m.room.member", CAROL,
                                             "{'membership':'join'}", NULL);
  g_assert_cmpint (engine_receive (other, join), ==, CM_VERDICT_ACCEPTED);
  g_autofree char *changes = g_strdup_printf ("{'auth_events':['%s']}", join->event_id);
  g_autoptr (CmEvent) event =
      engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.message", NULL, "{}", changes);
  assert_received (fixture, event, CM_VERDICT_REJECTED);
}

/* That an auth event could not be had is no verdict: it may come yet. */
static void
test_missing_auth (Fixture *fixture, gconstpointer data)
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
test_cve_2022_39374_outlier_parent (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) outlier = foreign_say (fixture, CAROL);
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_true (cm_room_write_outlier (write, outlier, &verdict, &error));
    g_assert_cmpint (verdict, ==, CM_VERDICT_ACCEPTED);
    g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  }
  g_assert_false (is_extremity (fixture, outlier));
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
  assert_received (fixture, again, CM_VERDICT_ACCEPTED);
  g_assert_cmpint (again->number, ==, outlier->number);
  g_assert_cmpint (again->position, >, 0);
  engine_assert_value (fixture->engine, "0", "SELECT flags FROM event WHERE event_id = '%s'",
                       outlier->event_id);
  assert_received (fixture, child, CM_VERDICT_ACCEPTED);
}

/* A gap: the state before is fetched, the parent stays a backward extremity until history brings
 * it. */
static void
test_gap_and_history (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) first = foreign_say (fixture, CAROL);
  g_autoptr (CmEvent) second =
      foreign_on (fixture, first->event_id, CAROL, "m.room.message", NULL, "{'n':2}");
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_true (cm_room_write_live (write, second, view->state, 0, &verdict, &error));
    g_assert_cmpint (verdict, ==, CM_VERDICT_ACCEPTED);
    g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  }
  g_assert_true (is_extremity (fixture, second));
  engine_assert_value (fixture->engine, first->event_id, "SELECT event_id FROM missing_event");
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_true (engine_history (fixture->engine, write, first, &verdict));
    g_assert_cmpint (verdict, ==, CM_VERDICT_ACCEPTED);
    g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  }
  g_assert_cmpint (first->position, <, 0);
  g_assert_false (is_extremity (fixture, first));
  engine_assert_value (fixture->engine, NULL, "SELECT event_id FROM missing_event");
  g_autofree char *position = g_strdup_printf ("%" G_GINT64_FORMAT, first->position);
  engine_assert_value (fixture->engine, position,
                       "SELECT position FROM event WHERE event_id = '%s'", first->event_id);
  g_autoptr (CmRoomView) after = cm_room_view (fixture->room);
  g_assert_cmpint (after->state_id, ==, view->state_id);
  /* Older history has a lower position. */
  g_autoptr (CmEvent) older = foreign_say (fixture, CAROL);
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_true (engine_history (fixture->engine, write, older, &verdict));
    g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  }
  g_assert_cmpint (older->position, <, first->position);
}

/* Events of a room that lives elsewhere. */
static CmEvent *
elsewhere (Fixture *fixture, const char *room_id, const char *sender, const char *type,
           const char *state_key, const char *content, const char *prev, const char *auth,
           int depth)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) object =
      fixture_json ("{'type':'%s','sender':'%s','state_key':'%s','content':%s,'prev_events':[%s],'"
                    "auth_events':[%s],'depth':%d,"
                    "'origin_server_ts':1000,'room_id':'%s'}",
                    type, sender, state_key, content, prev, auth, depth, room_id);
  CmEvent *event = cm_event_build (cm_room_version_find ("11"), cm_json_doc_root (object), THERE,
                                   fixture->engine->other, &error);
  g_assert_no_error (error);
  return event;
}

static void
put_outlier (CmRoomWrite *write, CmEvent *event)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_assert_true (cm_room_write_outlier (write, event, &verdict, &error));
  g_assert_no_error (error);
  g_assert_cmpint (verdict, ==, CM_VERDICT_ACCEPTED);
}

static CmStateMap *
state_of (CmEvent *const *events, gsize n)
{
  GArray *entries = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
  for (gsize i = 0; i < n; i++) {
    CmStateEntry entry = { events[i]->type_sym, events[i]->state_key_sym, events[i]->number };
    g_array_append_val (entries, entry);
  }
  return cm_state_map_new (entries);
}

#define ELSEWHERE "!elsewhere:there.example"

static void
test_enter (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) create = elsewhere (fixture, ELSEWHERE, CAROL, "m.room.create", "",
                                          "{'room_version':'11'}", "", "", 1);
  g_autofree char *c = g_strdup_printf ("'%s'", create->event_id);
  g_autoptr (CmEvent) carol = elsewhere (fixture, ELSEWHERE, CAROL, "m.room.member", CAROL,
                                         "{'membership':'join'}", c, c, 2);
  g_autofree char *cm = g_strdup_printf ("%s,'%s'", c, carol->event_id);
  g_autofree char *m = g_strdup_printf ("'%s'", carol->event_id);
  g_autoptr (CmEvent) rules = elsewhere (fixture, ELSEWHERE, CAROL, "m.room.join_rules", "",
                                         "{'join_rule':'public'}", m, cm, 3);
  g_autofree char *cr = g_strdup_printf ("%s,'%s'", c, rules->event_id);
  g_autoptr (CmEvent) join =
      elsewhere (fixture, ELSEWHERE, ALICE, "m.room.member", ALICE, "{'membership':'join'}",
                 "'$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'", cr, 90);
  CmEvent *state[] = { create, carol, rules };
  g_autoptr (CmRoom) room =
      cm_rooms_open (fixture->engine->rooms, ELSEWHERE, create->version, &error);
  g_assert_no_error (error);
  g_assert_null (cm_room_view (room));
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (room, NULL, &error);
  for (gsize i = 0; i < G_N_ELEMENTS (state); i++)
    put_outlier (write, state[i]);
  g_autoptr (CmStateMap) before = state_of (state, G_N_ELEMENTS (state));
  g_assert_true (cm_room_write_enter (write, join, before, 0, &error));
  g_assert_no_error (error);
  g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));

  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_assert_cmpint (view->joined, ==, 2);
  g_assert_cmpint (view->local_joined, ==, 1);
  g_assert_cmpuint (cm_state_map_size (view->state), ==, 4);
  g_assert_cmpstr (view->others->pdata[0], ==, THERE);
  g_assert_cmpint (view->depth, ==, 90);
  g_autofree char *told = engine_told ();
  g_assert_cmpstr (told, ==, "");
  engine_assert_value (fixture->engine, "1", "SELECT count (*) FROM missing_event");
  engine_assert_value (fixture->engine, "2",
                       "SELECT count (*) FROM member WHERE room = %" G_GINT64_FORMAT, view->room);
  engine_assert_value (fixture->engine, "join",
                       "SELECT membership FROM member_history WHERE room = %" G_GINT64_FORMAT,
                       view->room);
  g_autoptr (CmEvent) hello = engine_send (room, ALICE, "m.room.message", NULL, "{}");
  g_assert_cmpint (hello->depth, ==, 91);
  told = (g_free (told), engine_told ());
  g_assert_cmpstr (told, ==, THERE);
}

/* The room is not ours: what the state does not allow does not let us in. */
static void
test_enter_refused (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) create = elsewhere (fixture, ELSEWHERE, CAROL, "m.room.create", "",
                                          "{'room_version':'11'}", "", "", 1);
  g_autofree char *c = g_strdup_printf ("'%s'", create->event_id);
  g_autoptr (CmEvent) join = elsewhere (fixture, ELSEWHERE, ALICE, "m.room.member", ALICE,
                                        "{'membership':'join'}", c, c, 2);
  g_autoptr (CmRoom) room =
      cm_rooms_open (fixture->engine->rooms, ELSEWHERE, create->version, &error);
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (room, NULL, &error);
    put_outlier (write, create);
    g_autoptr (CmStateMap) before = state_of (&create, 1);
    g_assert_false (cm_room_write_enter (write, join, before, 0, &error));
    fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  }
  engine_assert_value (fixture->engine, "0", "SELECT count (*) FROM event WHERE event_id = '%s'",
                       create->event_id);
  g_assert_null (
      cm_event_store_find (cm_rooms_events (fixture->engine->rooms), create->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
}

/* Back after an absence: the state is what it has become meanwhile. */
static void
test_enter_again (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  engine_member (fixture->room, BOB, BOB, "join");
  g_autoptr (CmEvent) topic =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'old'}");
  g_autoptr (CmRoomView) old = cm_room_view (fixture->room);
  g_autoptr (CmEvent) leave =
      foreign (fixture, CAROL, "m.room.member", CAROL, "{'membership':'leave'}");
  g_autoptr (CmEvent) join = engine_foreign (
      fixture->engine, fixture->room, DAVE, "m.room.member", DAVE, "{'membership':'join'}",
      "{'prev_events':['$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']}");
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
  put_outlier (write, leave);
  /* Meanwhile the topic went, Carol left, and of Bob nothing is known any more. */
  gint64 bob = cm_sym (fixture->engine->ids, BOB, NULL);
  g_autoptr (GArray) changes = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
  CmStateEntry entries[] = { { topic->type_sym, topic->state_key_sym, 0 },
                             { leave->type_sym, (guint32) bob, 0 },
                             { leave->type_sym, leave->state_key_sym, leave->number } };
  g_array_append_vals (changes, entries, G_N_ELEMENTS (entries));
  g_autoptr (CmStateMap) before = cm_state_map_update (old->state, g_steal_pointer (&changes));
  g_assert_true (cm_room_write_enter (write, join, before, 0, &error));
  g_assert_no_error (error);
  g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_cmpuint (view->extremities->len, ==, 1);
  g_assert_true (is_extremity (fixture, join));
  g_assert_cmpint (cm_room_membership (view, CAROL), ==, CM_MEMBERSHIP_LEAVE);
  g_assert_cmpint (view->joined, ==, 2);
  g_assert_cmpint (cm_room_membership (view, BOB), ==, CM_MEMBERSHIP_NONE);
  engine_assert_value (fixture->engine, "leave",
                       "SELECT membership FROM member WHERE user_id = %" G_GINT64_FORMAT, bob);
  engine_assert_value (fixture->engine, "join leave",
                       "SELECT string_agg (membership, ' ' ORDER BY position) FROM member_history "
                       "WHERE user_id = %" G_GINT64_FORMAT,
                       bob);
  g_assert_null (topic_of (fixture));
  assert_tables_agree (fixture);
  restart (fixture);
  assert_tables_agree (fixture);
}

static CmEvent *
foreign_redaction (Fixture *fixture, const char *sender, const char *target)
{
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autofree char *inside = g_strdup_printf ("{'redacts':'%s'}", target);
  gboolean in_content = view->version->redacts_in_content;
  return engine_foreign (fixture->engine, fixture->room, sender, "m.room.redaction", NULL,
                         in_content ? inside : "{}", in_content ? NULL : inside);
}

static gboolean
is_redacted (Fixture *fixture, const char *event_id)
{
  g_autoptr (CmEvent) event = stored (fixture, event_id);
  gboolean pruned = cm_json_get (event->content, "body") == NULL;
  g_assert_true (pruned == ((event->flags & CM_EVENT_REDACTED) != 0));
  return pruned;
}

/* CVE-2024-6302: from another server too, only with the level or for one's own. */
static void
test_cve_2024_6302_redaction_auth (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) hers = say (fixture, ALICE), carols = foreign_say (fixture, CAROL);
  assert_received (fixture, carols, CM_VERDICT_ACCEPTED);
  engine_member (fixture->room, DAVE, DAVE, "join");
  engine_member (fixture->room, EVE, EVE, "join");
  g_autoptr (CmEvent) bad = foreign_redaction (fixture, CAROL, hers->event_id);
  engine_receive (fixture->room, bad);
  g_assert_false (is_redacted (fixture, hers->event_id));
  g_autoptr (CmEvent) stranger = foreign_redaction (fixture, EVE, carols->event_id);
  engine_receive (fixture->room, stranger);
  g_assert_false (is_redacted (fixture, carols->event_id));
  g_autoptr (CmEvent) neighbour = foreign_redaction (fixture, DAVE, carols->event_id);
  assert_received (fixture, neighbour, CM_VERDICT_ACCEPTED);
  g_assert_true (is_redacted (fixture, carols->event_id));
}

/* A redaction that comes first waits for its target, in memory, in the database, and for whatever
 * way the target comes. */
static void
test_cve_2024_6302_redaction_before_target (Fixture *fixture, gconstpointer way)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) target = foreign_say (fixture, CAROL);
  g_autoptr (CmEvent) redaction = foreign_redaction (fixture, CAROL, target->event_id);
  assert_received (fixture, redaction, CM_VERDICT_ACCEPTED);
  engine_assert_value (fixture->engine, "1", "SELECT count (*) FROM pending_redaction");
  restart (fixture);
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
  g_assert_true (engine_history (fixture->engine, write, target, &verdict));
  g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  g_assert_true (is_redacted (fixture, target->event_id));
  restart (fixture);
  g_assert_true (is_redacted (fixture, target->event_id));
  engine_assert_value (fixture->engine, "0", "SELECT count (*) FROM pending_redaction");
}

static void
test_redaction_and_target_in_one_write (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) target = foreign_say (fixture, CAROL),
                      redaction = foreign_redaction (fixture, CAROL, target->event_id);
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
  g_assert_true (cm_room_write_live (write, redaction, NULL, 0, &verdict, &error));
  g_assert_true (cm_room_write_outlier (write, target, &verdict, &error));
  g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  g_assert_true (is_redacted (fixture, target->event_id));
  /* Pruned it stays when it gets its place. */
  g_autoptr (CmEvent) again = cm_event_parse (target->version, target->json, &error);
  assert_received (fixture, again, CM_VERDICT_ACCEPTED);
  g_assert_true (is_redacted (fixture, target->event_id));
  restart (fixture);
  g_assert_true (is_redacted (fixture, target->event_id));
}

/* More branches than an event may name. */
static void
test_many_branches (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  for (guint i = 0; i < 25; i++) {
    g_autofree char *content = g_strdup_printf ("{'n':%u}", i);
    g_ptr_array_add (events, foreign (fixture, CAROL, "m.room.message", NULL, content));
  }
  for (guint i = 0; i < events->len; i++)
    assert_received (fixture, events->pdata[i], CM_VERDICT_ACCEPTED);
  g_autoptr (CmRoomView) wide = cm_room_view (fixture->room);
  g_assert_cmpuint (wide->extremities->len, ==, 25);
  g_autoptr (CmEvent) first = say (fixture, ALICE), second = say (fixture, ALICE);
  g_assert_cmpuint (cm_json_length (cm_json_get_array (first->json, "prev_events")), ==,
                    CM_EVENT_MAX_PREV_EVENTS);
  g_assert_cmpuint (cm_json_length (cm_json_get_array (second->json, "prev_events")), ==, 6);
  g_autoptr (CmRoomView) narrow = cm_room_view (fixture->room);
  g_assert_cmpuint (narrow->extremities->len, ==, 1);
}

/* CVE-2025-30355: an event as deep as an integer goes must not freeze the room. */
static void
test_cve_2025_30355_depth (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) deep =
      engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.message", NULL, "{}",
                      "{'depth':9007199254740991}");
  assert_received (fixture, deep, CM_VERDICT_ACCEPTED);
  g_autoptr (CmEvent) first = say (fixture, ALICE), second = say (fixture, ALICE);
  g_assert_cmpint (first->depth, ==, 9007199254740991);
  g_assert_cmpint (second->depth, ==, 9007199254740991);
}

static void
test_abandon (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmEvent) theirs = foreign (fixture, CAROL, "m.room.topic", "", "{'topic':'theirs'}");
  {
    g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
    g_assert_true (cm_room_write_live (write, theirs, NULL, 0, &verdict, &error));
  }
  g_assert_null (topic_of (fixture));
  g_assert_null (
      cm_event_store_find (cm_rooms_events (fixture->engine->rooms), theirs->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
  g_autoptr (CmEvent) ours = say (fixture, ALICE);
  g_autoptr (CmEvent) again = cm_event_parse (theirs->version, theirs->json, &error);
  assert_received (fixture, again, CM_VERDICT_ACCEPTED);
  assert_tables_agree (fixture);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, version, func)                                                                   \
  g_test_add ("/room-write/" path "/" version, Fixture, version, set_up, func, tear_down)
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
  ADD ("enter", "11", test_enter);
  ADD ("enter-refused", "11", test_enter_refused);
  ADD ("enter-again", "11", test_enter_again);
  ADD ("CVE-2024-6302-redaction-auth", "10", test_cve_2024_6302_redaction_auth);
  ADD ("CVE-2024-6302-redaction-auth", "11", test_cve_2024_6302_redaction_auth);
  ADD ("CVE-2024-6302-redaction-before-target", "10", test_cve_2024_6302_redaction_before_target);
  ADD ("CVE-2024-6302-redaction-before-target", "11", test_cve_2024_6302_redaction_before_target);
  ADD ("redaction-and-target-in-one-write", "11", test_redaction_and_target_in_one_write);
  ADD ("many-branches", "11", test_many_branches);
  ADD ("CVE-2025-30355-depth", "11", test_cve_2025_30355_depth);
  ADD ("abandon", "11", test_abandon);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
