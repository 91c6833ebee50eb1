#include "federation/timeline.h"

#include "tests/federation/engine-fixture.h"
#include "tests/federation/fixture.h"

#include <string.h>

#define ZOE "@zoe:here.example"

static TestCluster *cluster;

typedef struct {
  Engine *engine;
  CmRoom *room;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->engine = engine_new (cluster);
  fixture->room = engine_room (fixture->engine, "11", ALICE);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  cm_room_unref (fixture->room);
  engine_free (fixture->engine);
}

static GPtrArray *
new_events (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
}

static void
say (Fixture *fixture, GPtrArray *events, const char *text)
{
  g_autofree char *content = g_strdup_printf ("{'body':'%s'}", text);
  g_ptr_array_add (events, engine_send (fixture->room, ALICE, "m.room.message", NULL, content));
}

static void
set_visibility (Fixture *fixture, const char *json)
{
  g_autofree char *content = g_strdup_printf ("{'history_visibility':%s}", json);
  g_autoptr (CmEvent) event =
      engine_send (fixture->room, ALICE, "m.room.history_visibility", "", content);
}

/* The member event of @user with @membership. */
static CmEvent *
member (Fixture *fixture, const char *sender, const char *user, const char *membership)
{
  g_autofree char *content = g_strdup_printf ("{'membership':'%s'}", membership);
  return engine_send (fixture->room, sender, "m.room.member", user, content);
}

/* The bodies (types of those that have none) of what @user may see of @events. */
static char *
seen_by (Fixture *fixture, GPtrArray *events, const char *user)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) copy = new_events ();
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < events->len; i++)
    g_ptr_array_add (copy, cm_event_ref (events->pdata[i]));
  g_assert_true (cm_timeline_filter_for_user (fixture->engine->rooms, copy, user, &error));
  for (guint i = 0; i < copy->len; i++) {
    const CmEvent *event = copy->pdata[i];
    const char *body = cm_json_get_text (event->content, "body");
    if (body == NULL)
      body = cm_event_membership (event);
    g_string_append_printf (text, "%s%s", i > 0 ? " " : "", body != NULL ? body : event->type);
  }
  return g_string_free (text, FALSE);
}

static void
assert_seen (Fixture *fixture, GPtrArray *events, const char *user, const char *expected)
{
  g_autofree char *text = seen_by (fixture, events, user);
  g_assert_cmpstr (text, ==, expected);
}

typedef struct {
  const char *visibility; /* as JSON; NULL: no event says so */
  const char *joined;     /* what Bob sees while he is joined */
  const char *left;       /* and after he left */
  const char *stranger;   /* what one sees who never was there */
  const char *own;        /* which of his own member events Bob sees in the end */
} Row;

/* client-server, "History visibility", "Server behaviour", rules 1 to 5. */
static const Row rows[] = {
  { "'world_readable'", "none invited joined left", "none invited joined left",
    "none invited joined left", "invite join leave" },
  { "'shared'", "none invited joined left", "none invited joined", "", "invite join leave" },
  { "'invited'", "invited joined", "invited joined", "", "invite join leave" },
  { "'joined'", "joined", "joined", "", "join leave" },
  { NULL, "none invited joined left", "none invited joined", "", "invite join leave" },
  { "'secret'", "none invited joined left", "none invited joined", "", "invite join leave" },
  { "7", "none invited joined left", "none invited joined", "", "invite join leave" },
};

static void
test_user (Fixture *fixture, gconstpointer data)
{
  const Row *row = data;
  g_autoptr (GPtrArray) events = new_events (), own = new_events ();
  if (row->visibility != NULL)
    set_visibility (fixture, row->visibility);
  say (fixture, events, "none");
  g_ptr_array_add (own, member (fixture, ALICE, BOB, "invite"));
  say (fixture, events, "invited");
  g_ptr_array_add (own, member (fixture, BOB, BOB, "join"));
  say (fixture, events, "joined");
  /* While he is there, all that he will ever see; "left" is not said yet. */
  g_autofree char *now = seen_by (fixture, events, BOB);
  g_autofree char *expected = g_strdup (row->joined);
  char *last = strstr (expected, " left");
  if (last != NULL)
    *last = '\0';
  g_assert_cmpstr (now, ==, expected);
  g_ptr_array_add (own, member (fixture, BOB, BOB, "leave"));
  say (fixture, events, "left");
  assert_seen (fixture, events, BOB, row->left);
  assert_seen (fixture, events, ZOE, row->stranger);
  assert_seen (fixture, own, BOB, row->own);
  assert_seen (fixture, events, ALICE, "none invited joined left");
}

/* A late joiner sees shared history, and nothing of what was hidden before. */
static void
test_change (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) events = new_events ();
  set_visibility (fixture, "'joined'");
  say (fixture, events, "hidden");
  set_visibility (fixture, "'shared'");
  say (fixture, events, "shared");
  engine_member (fixture->room, BOB, BOB, "join");
  assert_seen (fixture, events, BOB, "shared");
}

/* The events that open and close the history are seen from either side. */
static void
test_visibility_events (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) events = new_events ();
  const char *steps[] = { "'joined'", "'world_readable'", "'joined'", "'invited'" };
  for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
    g_autofree char *content =
        g_strdup_printf ("{'history_visibility':%s,'body':'%u'}", steps[i], i);
    g_ptr_array_add (events,
                     engine_send (fixture->room, ALICE, "m.room.history_visibility", "", content));
  }
  assert_seen (fixture, events, ZOE, "1 2");
}

/* Gone and back: what was said in between stays hidden where only members see. */
static void
test_rejoin (Fixture *fixture, gconstpointer visibility)
{
  g_autoptr (GPtrArray) events = new_events ();
  set_visibility (fixture, visibility);
  engine_member (fixture->room, BOB, BOB, "join");
  say (fixture, events, "first");
  engine_member (fixture->room, BOB, BOB, "leave");
  say (fixture, events, "away");
  engine_member (fixture->room, BOB, BOB, "join");
  say (fixture, events, "back");
  assert_seen (fixture, events, BOB,
               strcmp (visibility, "'joined'") == 0 ? "first back" : "first away back");
}

static void
test_hidden_events (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) events = new_events ();
  CmVerdict verdict;
  set_visibility (fixture, "'world_readable'");
  engine_member (fixture->room, CAROL, CAROL, "join");
  CmEvent *rejected = engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.name", "",
                                      "{'body':'rejected'}", NULL);
  CmEvent *outlier = engine_foreign (fixture->engine, fixture->room, CAROL, "m.room.message", NULL,
                                     "{'body':'outlier'}", NULL);
  g_ptr_array_add (events, rejected);
  g_ptr_array_add (events, outlier);
  g_assert_cmpint (engine_receive (fixture->room, rejected), ==, CM_VERDICT_REJECTED);
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (fixture->room, NULL, &error);
  g_assert_true (cm_room_write_outlier (write, outlier, &verdict, &error));
  g_assert_true (cm_room_write_commit (g_steal_pointer (&write), &error));
  say (fixture, events, "shown");
  assert_seen (fixture, events, ALICE, "shown");

  /* CVE-2022-39335: another server sees no more of them. */
  g_assert_true (cm_timeline_filter_for_server (fixture->engine->rooms, events, THERE, &error));
  g_assert_cmpuint (events->len, ==, 3);
  g_assert_null (cm_json_get (((CmEvent *) events->pdata[0])->content, "body"));
  g_assert_null (cm_json_get (((CmEvent *) events->pdata[1])->content, "body"));
  g_assert_nonnull (cm_json_get (((CmEvent *) events->pdata[2])->content, "body"));
}

/* For each of @events "full" or "pruned". */
static void
assert_shown_to (Fixture *fixture, GPtrArray *events, const char *server, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) copy = new_events ();
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint i = 0; i < events->len; i++)
    g_ptr_array_add (copy, cm_event_ref (events->pdata[i]));
  g_assert_true (cm_timeline_filter_for_server (fixture->engine->rooms, copy, server, &error));
  for (guint i = 0; i < copy->len; i++) {
    const CmEvent *event = copy->pdata[i];
    g_assert_cmpstr (event->event_id, ==, ((CmEvent *) events->pdata[i])->event_id);
    g_string_append_printf (text, "%s%s", i > 0 ? " " : "",
                            cm_json_get (event->content, "body") != NULL ? "full" : "pruned");
  }
  g_assert_cmpstr (text->str, ==, expected);
}

typedef struct {
  const char *visibility;
  const char *member;   /* what Carol's server sees */
  const char *stranger; /* what one sees none of whose users were there */
} ServerRow;

static const ServerRow server_rows[] = {
  { "'world_readable'", "full full full full", "full full full full" },
  { "'shared'", "full full full full", "full full full full" },
  { "'invited'", "pruned full full pruned", "pruned pruned pruned pruned" },
  { "'joined'", "pruned pruned full pruned", "pruned pruned pruned pruned" },
};

/* CVE-2022-39335: a server sees of restricted history what some user of its could see then. */
static void
test_cve_2022_39335_server (Fixture *fixture, gconstpointer data)
{
  const ServerRow *row = data;
  g_autoptr (GPtrArray) events = new_events ();
  set_visibility (fixture, row->visibility);
  say (fixture, events, "none");
  engine_member (fixture->room, ALICE, CAROL, "invite");
  say (fixture, events, "invited");
  engine_member (fixture->room, CAROL, CAROL, "join");
  say (fixture, events, "joined");
  engine_member (fixture->room, CAROL, CAROL, "leave");
  say (fixture, events, "left");
  assert_shown_to (fixture, events, THERE, row->member);
  assert_shown_to (fixture, events, "third.example", row->stranger);
  /* A name that ends like another is another. */
  assert_shown_to (fixture, events, "example", row->stranger);
  assert_shown_to (fixture, events, "%.example", row->stranger);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *path = g_strdup_printf (
        "/visibility/user/%s", rows[i].visibility != NULL ? rows[i].visibility : "absent");
    g_test_add (path, Fixture, &rows[i], set_up, test_user, tear_down);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (server_rows); i++) {
    g_autofree char *path =
        g_strdup_printf ("/visibility/CVE-2022-39335-server/%s", server_rows[i].visibility);
    g_test_add (path, Fixture, &server_rows[i], set_up, test_cve_2022_39335_server, tear_down);
  }
  g_test_add ("/visibility/change", Fixture, NULL, set_up, test_change, tear_down);
  g_test_add ("/visibility/visibility-events", Fixture, NULL, set_up, test_visibility_events,
              tear_down);
  g_test_add ("/visibility/rejoin/joined", Fixture, "'joined'", set_up, test_rejoin, tear_down);
  g_test_add ("/visibility/rejoin/shared", Fixture, "'shared'", set_up, test_rejoin, tear_down);
  g_test_add ("/visibility/CVE-2022-39335-hidden-events", Fixture, NULL, set_up, test_hidden_events,
              tear_down);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
