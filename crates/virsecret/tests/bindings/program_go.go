// libvirt-go, which loads libvirt-qemu and libvirt-lxc too.
//
// usage: program_go URI     Prints what it sees, which is the same whichever library it runs on.
package main

import (
	"fmt"
	"os"
	"time"

	libvirt "github.com/libvirt/libvirt-go"
)

const uuid = "5ec2e700-0000-4000-8000-0000000000bb"
const xml = `<secret ephemeral='no' private='no'>
  <uuid>` + uuid + `</uuid>
  <usage type='ceph'><name>client.go</name></usage>
</secret>`

func show(what string, value interface{}, err error) {
	if err == nil {
		fmt.Printf("%s: %q\n", what, fmt.Sprint(value))
		return
	}
	told := err.(libvirt.Error)
	fmt.Printf("%s: error %d %d %d %s\n", what, told.Code, told.Domain, told.Level, told.Message)
}

func main() {
	libvirt.EventRegisterDefaultImpl()
	go func() {
		for {
			libvirt.EventRunDefaultImpl()
		}
	}()
	connection, err := libvirt.NewConnect(os.Args[1])
	if err != nil {
		show("open", nil, err)
		os.Exit(1)
	}
	kind, err := connection.GetType()
	show("type", kind, err)
	alive, err := connection.IsAlive()
	show("alive", alive, err)
	show("keepalive", nil, connection.SetKeepAlive(5, 3))

	events := make(chan string, 16)
	id, err := connection.SecretEventLifecycleRegister(nil, func(_ *libvirt.Connect, secret *libvirt.Secret, event *libvirt.SecretEventLifecycle) {
		of, _ := secret.GetUUIDString()
		events <- fmt.Sprint("lifecycle ", of, " ", event.Event, " ", event.Detail)
	})
	show("register", nil, err)
	changed, err := connection.SecretEventValueChangedRegister(nil, func(_ *libvirt.Connect, secret *libvirt.Secret) {
		of, _ := secret.GetUUIDString()
		events <- "value changed " + of
	})
	show("register", nil, err)
	next := func() {
		select {
		case event := <-events:
			fmt.Println("event:", event)
		case <-time.After(20 * time.Second):
			fmt.Println("event: none came")
		}
	}

	secret, err := connection.SecretDefineXML(xml, 0)
	show("define", nil, err)
	next()
	usage, err := secret.GetUsageID()
	show("usage", usage, err)
	typed, err := secret.GetUsageType()
	show("usage type", typed, err)
	_, err = secret.GetValue(0)
	show("no value yet", nil, err)
	show("set", nil, secret.SetValue([]byte("of Go\x00\xff"), 0))
	next()
	value, err := secret.GetValue(0)
	show("get", value, err)
	text, err := secret.GetXMLDesc(0)
	show("xml", text, err)
	all, err := connection.ListAllSecrets(0)
	show("list all", len(all), err)
	names, err := connection.ListSecrets()
	show("list", names, err)
	_, err = connection.LookupSecretByUUIDString(uuid)
	show("by uuid", nil, err)
	_, err = connection.LookupSecretByUsage(libvirt.SECRET_USAGE_TYPE_CEPH, "client.nobody")
	show("by usage", nil, err)
	domains, err := connection.ListAllDomains(0)
	show("domains", domains, err)
	interfaces, err := connection.ListAllInterfaces(0)
	show("interfaces", interfaces, err)
	_, err = connection.GetCPUModelNames("x86_64", 0)
	show("models", nil, err)
	show("undefine", nil, secret.Undefine())
	next()
	show("deregister", nil, connection.SecretEventDeregister(id))
	show("deregister", nil, connection.SecretEventDeregister(changed))
	show("undefine again", nil, secret.Undefine())
	_, err = libvirt.NewConnect("secret+bogus:///system")
	show("refused", nil, err)
}
