/* The composition root: what a node is made of. Only pointers stand here; whoever needs a part
 * includes that part's header. Built once at start, in order, and not changed while calls run. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _CmConfig CmConfig;
typedef struct _CmPool CmPool;
typedef struct _CmIds CmIds;
typedef struct _CmCommitter CmCommitter;
typedef struct _CmCluster CmCluster;
typedef struct _CmSigningKey CmSigningKey;
typedef struct _CmVault CmVault;
typedef struct _CmLanes CmLanes;
typedef struct _CmRouter CmRouter;
typedef struct _CmLimits CmLimits;
typedef struct _CmHttpServer CmHttpServer;
typedef struct _CmOutbound CmOutbound;
typedef struct _CmDiscovery CmDiscovery;
typedef struct _CmIntake CmIntake;
typedef struct _CmInbox CmInbox;
typedef struct _CmRooms CmRooms;
typedef struct _CmFollowUps CmFollowUps;
typedef struct _CmKeyRing CmKeyRing;
typedef struct _CmFedClient CmFedClient;
typedef struct _CmDestinations CmDestinations;
typedef struct _CmAccounts CmAccounts;
typedef struct _CmSyncHub CmSyncHub;
typedef struct _CmRemoteKeys CmRemoteKeys;
typedef struct _CmMediaStore CmMediaStore;
typedef struct _CmEphemeral CmEphemeral;
typedef struct _CmParticipant CmParticipant;
typedef struct _CmControl CmControl;
typedef struct _CmHousekeeping CmHousekeeping;

typedef struct _CmNode CmNode;
/* How much of a node is started: what a command needs that works beside a running node, or all of
 * it. */
typedef enum { CM_NODE_TOOL, CM_NODE_SERVE } CmNodeExtent;

struct _CmNode {
  CmNodeExtent extent;
  const CmConfig *config;
  GCancellable *stop; /* borrowed while it starts; nullable */
  const char *server_name;
  CmSigningKey *signing_key;
  CmVault *vault;
  CmCluster *cluster; /* NULL with a database of the administrator's */
  CmPool *pool;
  CmIds *ids;
  CmCommitter *committer;
  CmLanes *lanes;
  gboolean
      abandoned; /* one of its threads hangs and cannot be ended: what it stands on must stay */
  CmLimits *limits;
  CmRouter *router;
  CmHttpServer *http;
  CmOutbound *outbound; /* for what users can influence: push gateways, previews */
  CmOutbound *fed_outbound;
  CmDiscovery *discovery;
  CmFedClient *fed_client;
  CmKeyRing *key_ring;
  CmRooms *rooms;
  CmFollowUps *follow_ups;
  CmIntake *intake;
  CmInbox *inbox;
  CmDestinations *destinations;
  CmAccounts *accounts;
  CmSyncHub *sync;
  CmEphemeral *ephemeral;    /* typing and presence: memory only */
  CmRemoteKeys *remote_keys; /* devices of other servers' users */
  CmMediaStore *media;
  CmParticipant *participant;
  CmControl *control;
  CmHousekeeping *housekeeping;
};

/* Runs the steps of node.c in order; what had started is stopped when one fails, and the error
 * names it. @stop: (nullable) see cm_cluster_start. */
CmNode *
cm_node_start (const CmConfig *config, CmNodeExtent extent, GCancellable *stop, GError **error);
/* Stops what was started, in reverse, and frees it. Takes less than 5 seconds, unless a thread
 * hangs for longer: FALSE then, and the process must end without further ado. */
gboolean cm_node_stop (CmNode *node);

G_END_DECLS
