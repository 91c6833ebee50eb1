/* A room engine on a database of its own, for the tests of rooms. This server is "here.example";
 * events of "there.example" are made with engine_foreign. Contents are JSON with ' for ". */
#pragma once

#include "federation/append.h"
#include "federation/room-write.h"
#include "tests/support/test-cluster.h"

G_BEGIN_DECLS

#define HERE  "here.example"
#define THERE "there.example"
#define ALICE "@alice:here.example"
#define BOB   "@bob:here.example"
#define CAROL "@carol:there.example"
#define DAVE  "@dave:there.example"

typedef struct {
  CmPool *pool;
  CmIds *ids;
  CmCommitter *committer;
  CmRooms *rooms;
  CmSigningKey *key;   /* of here.example */
  CmSigningKey *other; /* of there.example */
  CmRoomHooks hooks;   /* taken at the next start */
} Engine;

/* An engine on an empty database. One at a time. */
Engine *engine_new (TestCluster *cluster);
void engine_free (Engine *engine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Engine, engine_free)
/* As after a restart: nothing in memory. Rooms and events that the test still holds must be given
 * back before. */
void engine_restart (Engine *engine);

/* (transfer full) a room of @creator's that everybody may join, as version @version. */
CmRoom *engine_room (Engine *engine, const char *version, const char *creator);
CmRoom *engine_get (Engine *engine, const char *room_id);

/* (transfer full) the appended event; engine_send aborts when it fails. @state_key nullable. */
CmEvent *engine_send (CmRoom *room, const char *sender, const char *type, const char *state_key,
                      const char *content);
CmEvent *engine_try (CmRoom *room, const char *sender, const char *type, const char *state_key,
                     const char *content, GError **error);
CmEvent *engine_redact (CmRoom *room, const char *sender, const char *target, GError **error);
/* "join", "leave", ... of @user by himself, and by another. */
void engine_member (CmRoom *room, const char *sender, const char *user, const char *membership);

/* (transfer full) an event of another server's user on top of the room as it is now, not stored.
 * @changes: (nullable) members to replace, a JSON object. */
CmEvent *engine_foreign (Engine *engine, CmRoom *room, const char *sender, const char *type,
                         const char *state_key, const char *content, const char *changes);
/* Takes @event in at the end of the graph. */
CmVerdict engine_receive (CmRoom *room, CmEvent *event);

/* Adds @event to @write as history, older than all that was added so before. */
gboolean engine_history (Engine *engine, CmRoomWrite *write, CmEvent *event, CmVerdict *verdict);

/* What the engine asked of cm_destinations_event since the last time, the servers of each event:
 * "a,b a" (transfer full). */
char *engine_told (void);

/* (transfer full) the first column of the first row of @sql as text: of printf-like @format with
 * numbers and names of the test's own. */
char *engine_value (Engine *engine, const char *format, ...) G_GNUC_PRINTF (2, 3);
#define engine_assert_value(engine, expected, ...)                                                 \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autofree char *value_ = engine_value (engine, __VA_ARGS__);                                  \
    g_assert_cmpstr (value_, ==, expected);                                                        \
  }                                                                                                \
  G_STMT_END

G_END_DECLS
