#!/bin/bash
export ERL_ROOTDIR=@CLOUD@/rmq/usr/lib/erlang PATH=@CLOUD@/rmq/usr/lib/erlang/bin:$PATH HOME=@CLOUD@/rmqd
export RABBITMQ_HOME=@CLOUD@/rmq/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8 RABBITMQ_NODENAME=rig@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=25972 RABBITMQ_DIST_PORT=25973 ERL_EPMD_PORT=25974 ERL_EPMD_ADDRESS=127.0.0.1
export RABBITMQ_MNESIA_BASE=@CLOUD@/rmqd/mnesia RABBITMQ_LOG_BASE=@CLOUD@/rmqd/log RABBITMQ_PID_FILE=@CLOUD@/rmqd/pid RABBITMQ_ENABLED_PLUGINS_FILE=@CLOUD@/rmqd/plugins RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
exec @CLOUD@/rmq/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server
