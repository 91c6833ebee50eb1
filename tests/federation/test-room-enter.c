/* Into a room that lives elsewhere, and back into one. */
#include "federation/room-write.h"

#include "tests/federation/fixture.h"
#include "tests/federation/live-room.h"

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

/* Events of a room that lives elsewhere. */
static CmEvent *
elsewhere (LiveRoom *fixture, const char *room_id, const char *sender, const char *type,
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
test_enter (LiveRoom *fixture, gconstpointer data)
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
test_enter_refused (LiveRoom *fixture, gconstpointer data)
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
test_enter_again (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  engine_member (fixture->room, BOB, BOB, "join");
  g_autoptr (CmEvent) topic =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'old'}");
  g_autoptr (CmRoomView) old = cm_room_view (fixture->room);
  g_autoptr (CmEvent) leave =
      live_room_foreign (fixture, CAROL, "m.room.member", CAROL, "{'membership':'leave'}");
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
  g_assert_true (live_room_is_extremity (fixture, join));
  g_assert_cmpint (cm_room_membership (view, CAROL), ==, CM_MEMBERSHIP_LEAVE);
  g_assert_cmpint (view->joined, ==, 2);
  g_assert_cmpint (cm_room_membership (view, BOB), ==, CM_MEMBERSHIP_NONE);
  engine_assert_value (fixture->engine, "leave",
                       "SELECT membership FROM member WHERE user_id = %" G_GINT64_FORMAT, bob);
  engine_assert_value (fixture->engine, "join leave",
                       "SELECT string_agg (membership, ' ' ORDER BY position) FROM member_history "
                       "WHERE user_id = %" G_GINT64_FORMAT,
                       bob);
  g_assert_null (live_room_topic (fixture));
  live_room_assert_tables_agree (fixture);
  live_room_restart (fixture);
  live_room_assert_tables_agree (fixture);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, version, func)                                                                   \
  g_test_add ("/room-enter/" path "/" version, LiveRoom, version, set_up, func, tear_down)
  ADD ("enter", "11", test_enter);
  ADD ("enter-refused", "11", test_enter_refused);
  ADD ("enter-again", "11", test_enter_again);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
