#include "federation/rooms.h"

#include "crypto/id.h"
#include "tests/federation/engine-fixture.h"
#include "tests/federation/fixture.h"

#include <string.h>

static TestCluster *cluster;

static void
set_up (Engine **engine, gconstpointer data)
{
  *engine = engine_new (cluster);
}

static void
tear_down (Engine **engine, gconstpointer data)
{
  engine_free (*engine);
}

static char *
id_of (CmRoom *room)
{
  g_autoptr (CmRoomView) view = cm_room_view (room);
  return g_strdup (view->room_id);
}

/* rooms/v12: "!" and the reference hash of the create event; before, an opaque name of this
 * server's. */
static void
test_create (Engine **engine, gconstpointer version)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoom) room = engine_room (*engine, version, ALICE);
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_autoptr (CmEvent) create = cm_room_state_event (view, "m.room.create", "", &error);
  g_assert_no_error (error);
  if (strcmp (version, "12") == 0) {
    g_assert_cmpstr (view->room_id + 1, ==, create->event_id + 1);
    g_assert_null (cm_json_get (create->json, "room_id"));
  } else {
    g_assert_cmpstr (cm_id_domain (view->room_id), ==, HERE);
    g_assert_cmpuint (strlen (view->room_id), ==, 1 + 18 + 1 + strlen (HERE));
    g_assert_cmpstr (cm_json_get_text (create->json, "room_id"), ==, view->room_id);
  }
  g_assert_true (cm_id_is_room (view->room_id));
  g_assert_cmpstr (view->version->name, ==, version);
  g_assert_cmpuint (cm_state_map_size (view->state), ==, 4);
  g_assert_cmpint (view->joined, ==, 1);
  g_assert_cmpint (view->local_joined, ==, 1);
  g_assert_cmpint (view->depth, ==, 4);
  engine_assert_value (*engine, version, "SELECT version FROM room");
  engine_assert_value (*engine, "4", "SELECT count (*) FROM event WHERE position > 0");
}

static void
test_two_rooms_differ (Engine **engine, gconstpointer version)
{
  g_autoptr (CmRoom) one = engine_room (*engine, version, ALICE),
                     two = engine_room (*engine, version, ALICE);
  g_autofree char *first = id_of (one), *second = id_of (two);
  g_assert_cmpstr (first, !=, second);
}

/* What is refused leaves no room behind. */
static void
test_refused_create (Engine **engine, gconstpointer version)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) content =
      fixture_json ("{'room_version':'%s','creator':'%s'}", (const char *) version, ALICE);
  g_autoptr (CmJsonDoc) nothing = fixture_json ("{}");
  CmDraft create = {
    .type = "m.room.create", .state_key = "", .sender = ALICE, .content = cm_json_doc_root (content)
  };
  /* Nobody has joined yet. */
  CmDraft draft = {
    .type = "m.room.topic", .state_key = "", .sender = BOB, .content = cm_json_doc_root (nothing)
  };
  g_assert_null (cm_rooms_create ((*engine)->rooms, cm_room_version_find (version), &create, &draft,
                                  1, NULL, NULL, &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  engine_assert_value (*engine, "0", "SELECT count (*) FROM room");
  engine_assert_value (*engine, "0", "SELECT count (*) FROM event");
}

/* The room's row must be there already. */
static void
make_alias (CmWrite *write, const char *room_id, gint64 room, gpointer data)
{
  static const CmSql sql = { "test-alias", "INSERT INTO room_alias (alias, room, creator) "
                                           "SELECT $1, id, $3 FROM room WHERE id = $2" };
  cm_write_add (write, &sql, CM_ARGS (CM_TEXT (room_id), CM_INT (room), CM_TEXT (data)));
}

static void
test_create_with_extra (Engine **engine, gconstpointer version)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) content =
      fixture_json ("{'room_version':'%s','creator':'%s'}", (const char *) version, ALICE);
  CmDraft create = {
    .type = "m.room.create", .state_key = "", .sender = ALICE, .content = cm_json_doc_root (content)
  };
  g_autoptr (CmRoom) room = cm_rooms_create ((*engine)->rooms, cm_room_version_find (version),
                                             &create, NULL, 0, make_alias, ALICE, &error);
  g_assert_no_error (error);
  g_autofree char *room_id = id_of (room);
  engine_assert_value (*engine, room_id,
                       "SELECT alias FROM room_alias JOIN room ON room.id = room_alias.room");
}

static void
assert_same (const CmRoomView *a, const CmRoomView *b)
{
  g_assert_true (cm_state_map_equal (a->state, b->state));
  g_assert_cmpint (a->state_id, ==, b->state_id);
  g_assert_cmpint (a->depth, ==, b->depth);
  g_assert_cmpint (a->joined, ==, b->joined);
  g_assert_cmpint (a->invited, ==, b->invited);
  g_assert_cmpint (a->local_joined, ==, b->local_joined);
  g_assert_cmpuint (a->extremities->len, ==, b->extremities->len);
  g_assert_cmpint (g_array_index (a->extremities, gint64, 0), ==,
                   g_array_index (b->extremities, gint64, 0));
  g_assert_cmpuint (g_hash_table_size (a->servers), ==, g_hash_table_size (b->servers));
  g_assert_cmpuint (a->others->len, ==, b->others->len);
}

/* What memory holds after many changes is what a start reads. */
static void
test_reload (Engine **engine, gconstpointer version)
{
  g_autoptr (CmRoom) room = engine_room (*engine, version, ALICE);
  g_autofree char *room_id = id_of (room);
  const char *users[] = { BOB, "@eve:here.example", "@fred:here.example" };
  for (guint i = 0; i < G_N_ELEMENTS (users); i++)
    engine_member (room, users[i], users[i], "join");
  for (guint i = 0; i < 30; i++) {
    g_autofree char *content = g_strdup_printf ("{'topic':'%u'}", i);
    g_autoptr (CmEvent) topic = engine_send (room, ALICE, "m.room.topic", "", content);
  }
  engine_member (room, ALICE, BOB, "leave");
  engine_member (room, ALICE, BOB, "invite");
  g_autoptr (CmEvent) join =
      engine_foreign (*engine, room, CAROL, "m.room.member", CAROL, "{'membership':'join'}", NULL);
  g_assert_cmpint (engine_receive (room, join), ==, CM_VERDICT_ACCEPTED);
  g_autoptr (CmRoomView) before = cm_room_view (room);
  g_assert_cmpint (before->joined, ==, 4);
  g_assert_cmpint (before->local_joined, ==, 3);
  g_assert_cmpint (before->invited, ==, 1);
  g_assert_cmpuint (before->others->len, ==, 2);
  g_assert_cmpstr (before->others->pdata[0], ==, THERE);
  g_clear_pointer (&room, cm_room_unref);
  engine_restart (*engine);
  room = engine_get (*engine, room_id);
  g_autoptr (CmRoomView) after = cm_room_view (room);
  assert_same (before, after);
  g_assert_cmpint (cm_room_membership (after, ALICE), ==, CM_MEMBERSHIP_JOIN);
  g_assert_cmpint (cm_room_membership (after, BOB), ==, CM_MEMBERSHIP_INVITE);
  g_assert_cmpint (cm_room_membership (after, "@nobody:here.example"), ==, CM_MEMBERSHIP_NONE);
}

static void
test_state_events (Engine **engine, gconstpointer version)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoom) room = engine_room (*engine, version, ALICE);
  engine_member (room, BOB, BOB, "join");
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_autoptr (GPtrArray) all = cm_room_state_events (view, NULL, &error),
                        members = cm_room_state_events (view, "m.room.member", &error),
                        none = cm_room_state_events (view, "org.example.never", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (all->len, ==, 5);
  g_assert_cmpuint (members->len, ==, 2);
  g_assert_cmpuint (none->len, ==, 0);
  g_assert_null (cm_room_state_event (view, "org.example.never", "", &error));
  g_assert_no_error (error);
}

/* A view that somebody holds does not change under him. */
static void
test_view_is_immutable (Engine **engine, gconstpointer version)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoom) room = engine_room (*engine, version, ALICE);
  g_autoptr (CmRoomView) before = cm_room_view (room);
  engine_member (room, BOB, BOB, "join");
  g_autoptr (CmRoomView) after = cm_room_view (room);
  g_assert_cmpint (cm_room_membership (before, BOB), ==, CM_MEMBERSHIP_NONE);
  g_assert_cmpint (cm_room_membership (after, BOB), ==, CM_MEMBERSHIP_JOIN);
  g_assert_cmpint (GPOINTER_TO_INT (g_hash_table_lookup (before->servers, HERE)), ==, 1);
  g_assert_cmpint (before->joined, ==, 1);
  g_assert_cmpint (after->joined, ==, 2);
}

static void
test_unknown (Engine **engine, gconstpointer version)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (cm_rooms_get ((*engine)->rooms, "!nowhere:here.example", &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
  g_assert_null (cm_rooms_view ((*engine)->rooms, "!nowhere:here.example", &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
  /* Asking makes nothing. */
  engine_assert_value (*engine, "0",
                       "SELECT count (*) FROM sym WHERE text = '!nowhere:here.example'");
}

static gpointer
open_often (gpointer data)
{
  Engine *engine = data;
  for (guint i = 0; i < 50; i++) {
    g_autofree char *room_id =
        engine_value (engine, "SELECT s.text FROM room r JOIN sym s ON s.id = r.id");
    g_autoptr (CmRoom) room = engine_get (engine, room_id);
    g_autoptr (CmEvent) event = engine_send (room, ALICE, "m.room.message", NULL, "{}");
  }
  return NULL;
}

/* Many who open a room at once share it. */
static void
test_concurrent_open (Engine **engine, gconstpointer version)
{
  {
    g_autoptr (CmRoom) room = engine_room (*engine, version, ALICE);
  }
  engine_restart (*engine);
  GThread *threads[4];
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("opener", open_often, *engine);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  engine_assert_value (*engine, "204", "SELECT count (DISTINCT depth) FROM event");
}

static void
test_membership_texts (Engine **engine, gconstpointer version)
{
  for (CmMembership m = CM_MEMBERSHIP_INVITE; m <= CM_MEMBERSHIP_BAN; m++)
    g_assert_cmpint (cm_membership_from_text (cm_membership_text (m)), ==, m);
  g_assert_cmpint (cm_membership_from_text ("joined"), ==, CM_MEMBERSHIP_NONE);
  g_assert_cmpint (cm_membership_from_text (NULL), ==, CM_MEMBERSHIP_NONE);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, version, func)                                                                   \
  g_test_add ("/rooms/" path "/" version, Engine *, version, set_up, func, tear_down)
  ADD ("create", "10", test_create);
  ADD ("create", "11", test_create);
  ADD ("create", "12", test_create);
  ADD ("two-rooms-differ", "12", test_two_rooms_differ);
  ADD ("refused-create", "11", test_refused_create);
  ADD ("refused-create", "12", test_refused_create);
  ADD ("create-with-extra", "10", test_create_with_extra);
  ADD ("create-with-extra", "12", test_create_with_extra);
  ADD ("reload", "11", test_reload);
  ADD ("reload", "12", test_reload);
  ADD ("state-events", "11", test_state_events);
  ADD ("view-is-immutable", "11", test_view_is_immutable);
  ADD ("unknown", "11", test_unknown);
  ADD ("concurrent-open", "11", test_concurrent_open);
  ADD ("membership-texts", "11", test_membership_texts);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
