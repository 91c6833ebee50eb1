/* One room on an engine: the fixture of tests of what is written to a room. */
#pragma once

#include "tests/federation/engine-fixture.h"

G_BEGIN_DECLS

typedef struct {
  Engine *engine;
  CmRoom *room;
  char *room_id;
  char *version;
} LiveRoom;

/* Alice's room. @version NULL: 11. */
void live_room_init (LiveRoom *fixture, TestCluster *cluster, const char *version);
/* Alice's room with Carol of there.example in it; everybody may set the topic. */
void live_room_init_shared (LiveRoom *fixture, TestCluster *cluster, const char *version);
void live_room_clear (LiveRoom *fixture);
void live_room_restart (LiveRoom *fixture);

/* (transfer full) a message of a user of this server, sent. */
CmEvent *live_room_say (LiveRoom *fixture, const char *sender, const char *text);
/* (transfer full) an event of another server's user, not stored, see engine_foreign. */
CmEvent *live_room_foreign (LiveRoom *fixture, const char *sender, const char *type,
                            const char *state_key, const char *content);
CmEvent *live_room_foreign_say (LiveRoom *fixture, const char *sender);
void live_room_assert_received (LiveRoom *fixture, CmEvent *event, CmVerdict expected);

/* How many rows @what ("table WHERE ...") has. */
gint64 live_room_count (LiveRoom *fixture, const char *what);
/* (transfer full) the event as it is stored. */
CmEvent *live_room_stored (LiveRoom *fixture, const char *event_id);
gboolean live_room_is_extremity (LiveRoom *fixture, const CmEvent *event);
/* (transfer full), nullable. */
char *live_room_topic (LiveRoom *fixture);
/* The tables that answer requests say what the view says. */
void live_room_assert_tables_agree (LiveRoom *fixture);

G_END_DECLS
