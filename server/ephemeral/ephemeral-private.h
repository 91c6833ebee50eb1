/* What typing and presence share. Each keeps its own table, made and looked at in its own file; one
 * mutex and one counter are for both. */
#pragma once

#include "server/ephemeral/ephemeral.h"

G_BEGIN_DECLS

struct _CmEphemeral {
  CmNode *node;
  guint32 epoch;
  GMutex mutex; /* guards what follows */
  gint64 counter;
  gint64 typing_counter; /* when any typing last changed */
  GHashTable *rooms;     /* room id -> Room */
  GHashTable *people;    /* user id -> Person */
};

/* typing.c */
GHashTable *cm_typing_rooms_new (void);
/* Whose time is over by @now types no more. */
void cm_typing_tick (CmEphemeral *ephemeral, gint64 now);

/* presence.c */
GHashTable *cm_presence_people_new (void);
/* Local users whose clients have been silent until @now are offline. */
void cm_presence_tick (CmEphemeral *ephemeral, gint64 now);

G_END_DECLS
