# ruby-libvirt, whose extension is linked to libvirt-qemu too.
#
# usage: program_ruby.rb URI     Prints what it sees, which is the same whichever library it runs on.
require "libvirt"

def show(what)
  value = yield
  puts "#{what}: #{value.inspect}"
  value
rescue Libvirt::Error => error
  puts "#{what}: #{error.class} #{error.libvirt_code} #{error.libvirt_component} #{error.libvirt_level} #{error.libvirt_message}"
end

UUID = "5ec2e700-0000-4000-8000-0000000000aa"
XML = <<END
<secret ephemeral='no' private='no'>
  <uuid>#{UUID}</uuid>
  <description>of a program in Ruby</description>
  <usage type='volume'><volume>/ruby/volume</volume></usage>
</secret>
END

connection = Libvirt::open(ARGV[0])
show("type") { connection.type }
show("secure") { connection.secure? }
show("encrypted") { connection.encrypted? }
show("alive") { connection.alive? }
show("uri") { connection.uri == ARGV[0] }
show("before") { connection.num_of_secrets }
show("no such") { connection.lookup_secret_by_uuid(UUID) }
secret = connection.define_secret_xml(XML)
show("uuid") { secret.uuid }
show("usage") { [secret.usagetype, secret.usageid] }
show("xml") { secret.xml_desc }
show("no value yet") { secret.get_value }
show("set") { secret.set_value("of Ruby\0 \xff".b) }
show("get") { secret.get_value }
show("list") { connection.list_secrets }
show("list all") { connection.list_all_secrets.map(&:uuid) }
show("by uuid") { connection.lookup_secret_by_uuid(UUID).uuid }
show("by usage") { connection.lookup_secret_by_usage(Libvirt::Secret::USAGE_TYPE_VOLUME, "/ruby/volume").uuid }
show("not xml") { connection.define_secret_xml("<secret") }
show("domains") { connection.list_all_domains }
show("networks") { connection.list_all_networks }
show("undefine") { secret.undefine }
show("undefined") { secret.get_value }
show("after") { connection.num_of_secrets }
begin
  reader = Libvirt::open_read_only(ARGV[0])
  show("read only") { reader.define_secret_xml(XML) }
  reader.close
end
connection.close
show("closed") { connection.closed? }
show("refused") { Libvirt::open("secret+unix://host/system") }
